"""Reading runs from disk: ``open_run``, ``Run``, ``Snapshot``."""
