"""The user's own grades: read as they are written, refused with the line and the mend."""

import pytest

from semprop.bench.judge_labels import judge_labels
from semprop.engine import DataError


def read(tmp_path, text):
    path = tmp_path / "labels.jsonl"
    path.write_text(text)
    return judge_labels(path, ("question",))


def test_a_line_is_inputs_answer_and_label(tmp_path):
    one, other = read(
        tmp_path,
        '{"question": "1 + 1", "answer": "2", "label": 1, "expected": "2"}\n'
        '{"question": "2 + 2", "answer": "5", "label": false}\n',
    )
    assert (one.example.inputs["question"], one.example.expected, one.answer, one.score) == ("1 + 1", "2", "2", 1.0)
    assert (other.example.expected, other.score) == (None, 0.0)
    assert one.example.id != other.example.id


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"question": "x", "label": 1}', "no 'answer'"),
        ('{"question": "x", "answer": "y"}', "no 'label'"),
        ('{"question": "x", "answer": "y", "label": "good"}', "labels.jsonl:1: the label is 'good'"),
        ('{"question": "x", "answer": "y", "label": 7}', "labels run from 0"),
        ('{"answer": "y", "label": 1}', "no 'question'"),
    ],
)
def test_a_line_that_is_no_label_is_refused(tmp_path, line, told):
    with pytest.raises(DataError, match=told):
        read(tmp_path, line)
