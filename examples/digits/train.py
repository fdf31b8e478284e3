"""Train a small scikit-learn network on the handwritten digits that scikit-learn ships.

An ordinary script: it takes its settings as flags, prints its results and knows nothing of any tuner.

    python train.py --learning_rate_init 0.003 --hidden 64
"""

import argparse

import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

SPLIT_SEED = 0  # the split stays the same whatever --seed is, so that results of all runs can be compared


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--solver", choices=["adam", "sgd"], default="adam")
    parser.add_argument("--learning_rate_init", type=float, default=1e-3)
    parser.add_argument("--momentum", type=float, default=0.9, help="used by sgd only")
    parser.add_argument("--alpha", type=float, default=1e-4, help="L2 penalty")
    parser.add_argument("--activation", choices=["relu", "tanh"], default="relu")
    parser.add_argument("--hidden", type=int, default=64, help="units in each hidden layer")
    parser.add_argument("--layers", type=int, default=1, help="hidden layers")
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0, help="initial weights and order of the examples")
    parser.add_argument(
        "--test", action="store_true", help="score the test part as well; once, at the very end"
    )
    return parser.parse_args()


def load_parts() -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Training (60 %), validation (20 %) and test (20 %) images and labels; pixels in [0, 1]."""
    images, labels = load_digits(return_X_y=True)
    images = images / 16.0
    x, x_test, y, y_test = train_test_split(
        images, labels, test_size=0.2, stratify=labels, random_state=SPLIT_SEED
    )
    x_train, x_val, y_train, y_val = train_test_split(
        x, y, test_size=0.25, stratify=y, random_state=SPLIT_SEED
    )
    return (x_train, y_train), (x_val, y_val), (x_test, y_test)


def score(model: MLPClassifier, x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Cross-entropy (nats per image) and accuracy."""
    probabilities = model.predict_proba(x)
    accuracy = np.mean(model.classes_[probabilities.argmax(axis=1)] == y)
    return float(log_loss(y, probabilities, labels=model.classes_)), float(accuracy)


def main() -> None:
    args = arguments()
    train, validation, test = load_parts()
    model = MLPClassifier(
        hidden_layer_sizes=(args.hidden,) * args.layers,
        activation=args.activation,
        solver=args.solver,
        alpha=args.alpha,
        batch_size=args.batch_size,
        learning_rate_init=args.learning_rate_init,
        momentum=args.momentum,
        # A generator, not a number: partial_fit would start again from a number at each call and so
        # show the examples in the same order in every epoch.
        random_state=np.random.RandomState(args.seed),
    )
    classes = np.unique(train[1])
    for epoch in range(1, args.epochs + 1):
        model.partial_fit(*train, classes=classes)
        loss, accuracy = score(model, *validation)
        print(f"step={epoch} val_loss={loss:.4f} val_accuracy={accuracy:.4f}", flush=True)
    # The last epoch's result, not the best epoch's: choosing the best would tune on the same images twice.
    print(f"val_loss={loss:.4f} val_accuracy={accuracy:.4f}")
    if args.test:
        loss, accuracy = score(model, *test)
        print(f"test_loss={loss:.4f} test_accuracy={accuracy:.4f}")


if __name__ == "__main__":
    main()
