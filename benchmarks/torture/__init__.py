"""What breaks, tried on purpose: kills, damage, nonsense, full disks, long runs, divergence."""
