"""The training loop, stacks of runs that train side by side, the recorder and the schedule."""
