"""The host's metadata service: a process of its own beside the worker, so that a guest that does
its worst harms no build, and a busy worker keeps no guest waiting."""
