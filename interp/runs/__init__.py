"""Runs on disk, read: ``open_run``, ``Run``, ``Snapshot``."""
