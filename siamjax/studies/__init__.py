"""Ablation studies: many trainings that differ in one decision each, and one table."""
