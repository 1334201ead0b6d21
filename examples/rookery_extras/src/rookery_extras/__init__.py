"""One extension of each kind: a task, a network, an auxiliary loss, an intrinsic reward and a learner."""
