"""The host's console gate: the only way from the network to its guests' consoles."""
