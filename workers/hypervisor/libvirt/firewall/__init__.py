"""The host's packet filter: against spoofing by libvirt's nwfilter, security groups by nftables."""
