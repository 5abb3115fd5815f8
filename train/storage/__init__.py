"""Files of a run, one module per kind: strict JSON, seals, tensors, the log, the manifest, resume states, upgrades."""
