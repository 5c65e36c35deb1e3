"""What an evaluation gives, by its name; read where studies are made, so without torch.

Not here: how it is computed (`evaluate`, and each task).
"""

METRICS: dict[int, dict[str, str]] = {
    1: {"accuracy": "accuracy", "loss": "loss"},
    2: {
        "map": "mean average precision",
        "label_accuracy": "per-label accuracy",
        "exact_match": "exact match",
        "f1": "F1",
        "precision": "precision",
        "recall": "recall",
        "loss": "loss",
    },
}
"""What an evaluation gives, by `data.grid`, the first of them chosen by default to compare trials by."""
