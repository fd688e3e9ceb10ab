"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from smidgen.client.channel import DEFAULT_TARGET
from smidgen.config import CalibrationConfig, ObserverMethod, QATConfig, SearchConfig, TaskLoss

__all__ = ["DEFAULT_TARGET"]

_QAT = QATConfig()
DEFAULT_EPOCHS = _QAT.epochs
DEFAULT_FINE_TUNE_EPOCHS = _QAT.fine_tune_epochs
DEFAULT_BATCH_SIZE = _QAT.batch_size
DEFAULT_LEARNING_RATE = _QAT.learning_rate
DEFAULT_LAMBDA = _QAT.quantization_loss_weight
DEFAULT_EVALUATION_FRACTION = _QAT.evaluation_fraction
DEFAULT_AVERAGING_CONSTANT = CalibrationConfig().averaging_constant
DEFAULT_PERCENTILE = CalibrationConfig().percentile

Server = Annotated[
    str, typer.Option("--server", envvar="SMIDGEN_SERVER", help="Address of the server, host:port.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
ValidateOnly = Annotated[
    bool, typer.Option("--validate-only", help="Check everything and change nothing.")
]
Model = Annotated[str, typer.Argument(help="Id of a model, for instance digits.")]
Version = Annotated[
    str | None, typer.Option(help="Version of the model or alias; the newest by default.")
]
Method = Annotated[ObserverMethod, typer.Option(help="How ranges are estimated.")]
AveragingConstant = Annotated[
    float, typer.Option(help="Weight of a new batch in the moving average, above 0 to 1.")
]
Percentile = Annotated[
    float, typer.Option(help="Percent of the values that percentile keeps at either end, to 100.")
]
Epochs = Annotated[int, typer.Option(help="Passes with fake quantization.")]
FineTuneEpochs = Annotated[
    int, typer.Option(help="Passes of the final stage with observers and batch norm frozen.")
]
BatchSize = Annotated[int, typer.Option(help="Samples a training step.")]
LearningRate = Annotated[float, typer.Option(help="Step size at the start of training.")]
FineTuneLearningRate = Annotated[
    float | None, typer.Option(help="Step size of the final stage; a tenth by default.")
]
Loss = Annotated[TaskLoss, typer.Option(help="What the model is trained to do.")]
LossWeight = Annotated[
    float,
    typer.Option("--quantization-loss-weight", help="Weight of the quantization loss, 0 or more."),
]
EvaluationFraction = Annotated[
    float,
    typer.Option(
        help="Share of the data held out for evaluation, 0 to 0.5; not with --evaluation-dataset."
    ),
]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
Equalize = Annotated[
    bool, typer.Option("--equalize", help="Even out the channels between layers first.")
]
RoundWeights = Annotated[
    bool,
    typer.Option("--round-weights", help="Round weights by the errors of outputs; takes minutes."),
]
CorrectBias = Annotated[
    bool,
    typer.Option("--correct-bias", help="Take what quantization shifts out of the biases first."),
]
MaxDrop = Annotated[
    float | None,
    typer.Option(
        help="Most accuracy that may be lost against float, 0.01 for one point, or the command "
        "fails; without labels the share of samples of another class. Needs --evaluation-dataset."
    ),
]
MinSqnr = Annotated[
    float | None,
    typer.Option(
        "--min-sqnr-db",
        help="Least signal to noise ratio of the output in dB, or the command fails.",
    ),
]
SensitivitySeconds = Annotated[
    float,
    typer.Option(
        help="Measure what each layer alone costs the output for so many seconds, the noisiest "
        "first; needs --evaluation-dataset."
    ),
]
Latency = Annotated[
    bool,
    typer.Option(
        "--latency", help="Time the float and the integer model layer by layer; takes seconds."
    ),
]
Search = Annotated[
    bool,
    typer.Option(
        "--search",
        help="Give layers more bits, or leave them in float, until --max-drop and --min-sqnr-db "
        "hold.",
    ),
]
SearchEvaluations = Annotated[int, typer.Option(help="Most programs that --search measures.")]
SearchSeconds = Annotated[float | None, typer.Option(help="Longest time of --search.")]
DEFAULT_SEARCH_EVALUATIONS = SearchConfig().evaluations
PreprocessingFile = Annotated[
    Path | None,
    typer.Option(
        "--preprocessing",
        exists=True,
        dir_okay=False,
        help="JSON file that says how images become the model's input.",
    ),
]
Flip = Annotated[bool, typer.Option("--flip", help="Mirror every other image in training.")]
LeastArea = Annotated[
    float, typer.Option(help="Smallest share of an image that is kept in training; 1 keeps all.")
]
Detach = Annotated[bool, typer.Option("--detach", help="Do not wait for the job to end.")]
CancelOnInterrupt = Annotated[
    bool, typer.Option("--cancel-on-interrupt", help="Cancel the job on Ctrl-C.")
]
