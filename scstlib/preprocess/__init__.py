"""Preprocessing: what is learned from data is fitted on the training part only."""
