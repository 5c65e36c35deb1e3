"""The train config: one complete, validated description of a training run.

Here: the typed parts, `override` by dotted path, and the way to and from a plain dict (checkpoints, journal, MLflow).
Not here: which networks exist and which of their options are possible (`cifarray.models`), named configs
(`cifarray.recipes`), what a search varies (`cifarray.search.space`).

Every duration is a fraction of `epochs` and `batch_size` is always the global one, so a config means the same training
run whatever its length and whatever the number of workers.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


class Part(BaseModel):
    """Base of every part: frozen, and a field that does not exist is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelConfig(Part):
    """Which network: `name` and the options of its builder, as in `cifarray.models.build(name, **options)`.

    The options are open here because each family has its own; `cifarray.models` checks them against the builder.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str = "wide_resnet"

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments for the builder."""
        return dict(self.__pydantic_extra__ or {})


class DataConfig(Part):
    """What is trained on and how it is augmented (units: pixels)."""

    source: str = "cifar10"
    """cifar10, cifar100, synthetic, a folder or s3://, gs:// prefix of Parquet files, or a folder of class folders."""
    image_size: Annotated[int, Field(ge=8, le=512)] = 32
    """Side of the stored square images; a source of another side is resized when it is prepared."""
    validation: NonNegative = 0.1
    """Held out of the training images, stratified and the same for every trial and seed: below 1 a fraction of them
    (0.1 is 5,000 of CIFAR's 50,000), from 1 on a number of images, 0 trains on everything."""
    limit: Annotated[int, Field(gt=0)] | None = None
    """Stratified subset: at most this many training images remain after the validation split."""
    grid: Literal[1, 2] = 1
    """2: pictures of 2 × 2 images, of twice the side, whose labels are those of all four (`cifarray.data.grids`)."""
    crop_padding: Annotated[int, Field(ge=0)] = 4
    """Random crop after padding by this many pixels on every side; 0 turns it off."""
    padding_mode: Literal["zero", "reflect"] = "zero"
    flip: bool = True
    """Random horizontal flip."""
    cutout: Annotated[int, Field(ge=0)] = 0
    """Side of the square that cutout blanks (DeVries & Taylor 2017, arXiv:1708.04552, §3.2); 0 turns it off."""

    @property
    def input_size(self) -> int:
        """Side of what the network sees."""
        return self.image_size * self.grid

    @model_validator(mode="after")
    def _check(self) -> "DataConfig":
        if self.validation >= 1 and self.validation != int(self.validation):
            raise ValueError(
                f"data.validation {self.validation} is neither a fraction nor a number of images: "
                "choose a value below 1, or a whole number"
            )
        return self


class OptimizerConfig(Part):
    """torch.optim's SGD, AdamW or Adam. `lr` is the peak of the schedule."""

    name: Literal["sgd", "adamw", "adam"] = "sgd"
    lr: Positive = 0.1
    weight_decay: NonNegative = 5e-4
    momentum: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.9
    """SGD's momentum; under one_cycle the momentum stays at this value (it is not cycled)."""
    nesterov: bool = True
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.9, 0.999)
    """Adam's and AdamW's moment decay rates."""

    @model_validator(mode="after")
    def _check(self) -> "OptimizerConfig":
        if self.name == "sgd" and self.nesterov and self.momentum == 0:
            raise ValueError("optimizer.nesterov needs a momentum above 0: set optimizer.nesterov to false")
        return self


class ScheduleConfig(Part):
    """How the learning rate moves, stepped once per batch. All durations are fractions of `epochs`."""

    name: Literal["constant", "multistep", "cosine", "one_cycle"] = "cosine"
    warmup: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Linear warm-up in front of any schedule."""
    milestones: tuple[Fraction, ...] = (0.3, 0.6, 0.8)
    """multistep: where the rate is multiplied by `gamma`; the default is WideResNet's 60, 120, 160 of 200."""
    gamma: Annotated[float, Field(gt=0.0, le=1.0)] = 0.2
    pct_start: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.3
    """one_cycle: the fraction that rises (Smith & Topin 2017, arXiv:1708.07120)."""
    div_factor: Positive = 25.0
    """one_cycle: the first rate is lr / div_factor."""
    final_div_factor: Positive = 1e4
    """one_cycle: the last rate is lr / (div_factor · final_div_factor)."""

    @model_validator(mode="after")
    def _check(self) -> "ScheduleConfig":
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError(f"schedule.milestones {self.milestones} must rise: give each fraction once, in order")
        if self.name == "multistep" and self.milestones and self.milestones[0] <= self.warmup > 0:
            raise ValueError(
                f"schedule.warmup {self.warmup} reaches past the first milestone {self.milestones[0]}: choose less"
            )
        return self


class TrainConfig(Part):
    """One complete description of a training run."""

    model: ModelConfig = ModelConfig(name="wide_resnet", depth=16, widen_factor=1, dropout=0.0)
    data: DataConfig = DataConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    epochs: Annotated[int, Field(gt=0)] = 200
    batch_size: Annotated[int, Field(gt=0)] = 128
    """Global: the sum over all workers."""
    label_smoothing: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    clip_norm: Positive | None = None
    """Gradients are scaled down to this total norm; None leaves them."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """auto: the fastest that is safe on the device (`training.precision`)."""
    channels_last: bool = True
    compile: bool = False
    deterministic: bool = True
    """Same seed, same hardware, same number of workers: the same weights, bit for bit."""
    seed: Annotated[int, Field(ge=0)] = 0
    checkpoint_every: Annotated[int, Field(gt=0)] = 1
    """A checkpoint after every so many epochs; there is always one at the end."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-ready dict; `TrainConfig.from_dict` is its inverse."""
        return self.model_dump(mode="json")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TrainConfig":
        """Raises ValueError with one line per wrong field."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ValueError(explain(error)) from None


def override(config: TrainConfig, values: Mapping[str, Any]) -> TrainConfig:
    """A new config with fields replaced by dotted path: `override(config, {"optimizer.lr": 0.2})`.

    Raises ValueError if a path does not exist or a value breaks a field's rule; an option of the model may be new.
    """
    tree = config.to_dict()
    for path, value in values.items():
        node: Any = tree
        *parents, leaf = path.split(".")
        for name in parents:
            node = node.get(name) if isinstance(node, dict) else None
        # Which options a network has is for its builder to say.
        if not isinstance(node, dict) or (leaf not in node and parents != ["model"]):
            known = ", ".join(sorted(flatten(config.to_dict())))
            raise ValueError(f"{path} is not a field of the train config: choose one of {known}")
        node[leaf] = value
    return TrainConfig.from_dict(tree)


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"optimizer": {"lr": 0.1}}` as `{"optimizer.lr": 0.1}`."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{name}."))
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def explain(error: ValidationError) -> str:
    """One sentence per wrong field: the field, the value, the rule."""
    lines = []
    for item in error.errors():
        path = ".".join(str(part) for part in item["loc"])
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "value_error" or not path:
            lines.append(message)
        elif item["type"] == "extra_forbidden":
            lines.append(f"{path} is not a field of the train config: remove it or correct its name")
        else:
            lines.append(f"{path} {item['input']!r} is not valid: {message[0].lower()}{message[1:]}")
    return "; ".join(lines)
