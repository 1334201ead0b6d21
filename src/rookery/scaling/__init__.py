"""Studies on many processes and machines: tasks of a study, shards of them, Ray, sweeps, hosts."""
