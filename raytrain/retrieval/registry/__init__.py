"""Trained models in MLflow: logged from code, registered under their experiment's name, promoted, opened again."""
