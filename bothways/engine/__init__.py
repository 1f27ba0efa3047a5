"""How anything is trained: exact steps by counters, optimizers, schedules, checkpoints, several processes."""
