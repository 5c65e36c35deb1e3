"""What a killed driver leaves in a study's folder is swept up, and nothing else."""

from cifarray import storage
from cifarray.config import TrainConfig
from cifarray.engine.checkpoints import Deleter, sweep
from cifarray.space.domains import choice
from cifarray.space.space import SearchSpace
from cifarray.study.events import EpochEnded, TrialSampled
from cifarray.study.state import StudyState
from cifarray.study.trial_record import Decision

NAMED = ["trial-0000/epoch-0002.pt"]
LEFT_OVER = [
    "trial-0000/epoch-0001.pt",  # dropped in the journal, its file was still to be deleted
    "trial-0000/epoch-0003.pt",  # written, and the driver killed before the answer came
    "trial-0000/epoch-0003.pt.0123abcd.partial",
    "trial-0007/epoch-0001.pt",
    "study.json.0123abcd.partial",
]
OTHERS = [
    "journal.jsonl",
    "study.json",
    "tracking.json.partial",
    "trial-0000/notes.txt",
    "trial-0000/epoch-0001.pt.bak",
    "mine/trial-0000/epoch-0001.pt",
    "lesion-toy-0.png",
]


def state_with_checkpoint():
    config = TrainConfig(epochs=4)
    state = StudyState(SearchSpace("toy", config, {"batch_size": choice(64, 128)}), 2)
    state.replay(
        [
            TrialSampled(trial=0, params={"batch_size": 64}, config=config.to_dict(), num_params=1, macs=1),
            *(
                EpochEnded(
                    trial=0,
                    epoch=epoch,
                    metrics={"val_accuracy": 0.5},
                    decision=Decision.CONTINUE,
                    checkpoint="/moved/elsewhere.pt" if epoch == 2 else None,
                )
                for epoch in (1, 2)
            ),
        ]
    )
    return state


def check_sweep(address):
    for name in [*NAMED, *LEFT_OVER, *OTHERS]:
        storage.write_bytes(storage.join(address, name), b"x")
    assert sweep(address, state_with_checkpoint()) == len(LEFT_OVER)
    assert storage.files(address) == sorted([*NAMED, *OTHERS])


def test_a_folder_is_swept(tmp_path):
    check_sweep(str(tmp_path / "toy"))


def test_no_folder_of_a_trial_without_checkpoints_is_left(tmp_path):
    for name in ("trial-0000/epoch-0002.pt", "trial-0001/epoch-0001.pt", "trial-0002/notes.txt"):
        storage.write_bytes(str(tmp_path / name), b"x")
    (tmp_path / "trial-0003").mkdir()
    (tmp_path / "mine").mkdir()
    sweep(str(tmp_path), state_with_checkpoint())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "trial-0000", "trial-0002"]


def test_a_study_that_has_no_folder_yet_has_nothing_to_sweep(tmp_path):
    assert sweep(str(tmp_path / "nowhere"), state_with_checkpoint()) == 0


def test_what_is_given_up_is_gone_when_the_deleter_is_closed(tmp_path):
    path = tmp_path / "trial-0000" / "epoch-0001.pt"
    storage.write_bytes(str(path), b"x")
    deleter = Deleter(str(tmp_path))
    deleter.delete_soon(str(path))
    deleter.delete_soon(str(path))  # already gone: no error
    elsewhere = tmp_path.parent / f"{tmp_path.name}-original" / "trial-0000" / "epoch-0001.pt"
    storage.write_bytes(str(elsewhere), b"x")
    deleter.delete_soon(str(elsewhere))
    deleter.close()
    assert not path.exists()
    assert elsewhere.exists(), "nothing outside of the study is deleted"
    deleter.delete_soon(str(path))  # after its end: left to the next start
