"""The study that Gao and Wang plan: who is in, what is true, and how good the network is."""
