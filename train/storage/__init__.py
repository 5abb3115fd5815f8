"""Files of a run, one kind a module: strict JSON, seals, tensors, the log, the manifest, resume states, upgrades."""
