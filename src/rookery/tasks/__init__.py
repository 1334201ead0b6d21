"""What pays: one file a task, joined to the world by `Env`."""
