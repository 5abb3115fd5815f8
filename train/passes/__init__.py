"""Ways to compute a training loss and its gradient: ``protocol`` is their interface, ``choose`` picks one for a run."""
