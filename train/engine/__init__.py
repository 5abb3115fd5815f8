"""The training loop: runs that train side by side, what is recorded, and when."""
