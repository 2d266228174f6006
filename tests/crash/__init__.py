"""The crash test: whatever dies, whenever, a server ends well and nothing stays behind."""
