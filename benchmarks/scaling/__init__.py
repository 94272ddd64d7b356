"""Scaling: trainings of several sizes on this machine, and a simulation of clusters that is fitted to them."""
