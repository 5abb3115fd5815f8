"""Ways to take a training loss and its gradient: ``protocol`` says what each offers, ``choose`` which is taken."""
