"""The console proxy: from browsers' WebSockets to the gates of hosts. Part of the control plane."""
