"""Pictures as inputs of a graph: shown to models that are asked forward, in words everywhere else."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

import pytest
from pictures import png

from semprop.engine import (
    CaseFolded,
    Demonstrations,
    Example,
    Function,
    Graph,
    Image,
    Model,
    Parameter,
    Specification,
    Splits,
    optimize,
    semantic,
    textgrad_library,
)
from semprop.engine.errors import NodeError, SpecificationError
from semprop.engine.example import normalised, split
from semprop.engine.prompts.forward import forward_request
from semprop.engine.tape import SlotValue, shown
from semprop.engine.training.bodies import unpacked
from semprop.engine.training.runs import Run
from semprop.engine.training.specification import fingerprint
from semprop.providers.base import Capabilities, Text
from semprop.providers.layers import unpriced
from semprop.providers.pictures import LARGEST
from semprop.providers.scripted import Scripted
from semprop.tools.budgets import amount_of

BIG = [Image.of(png(40 + number, 40, number) + bytes(200)) for number in range(20)]
"""Each of more than 256 characters as an address, as nearly all pictures are."""


def slot(node, name, value):
    (found,) = [each for each in node.slots if each.name == name]
    return SlotValue(found.name, found.source, found.purpose, value)


def test_a_single_picture_is_the_whole_question():
    node = Model("look", instruction="how", inputs=("photo",))
    request = forward_request(node, [slot(node, "instruction", "Look."), slot(node, "photo", BIG[0])], "e", "d")
    assert [message.parts for message in request.messages] == [(Text("Look."),), (BIG[0],)]


def test_a_picture_among_texts_stands_behind_its_name():
    node = Model("look", instruction="how", inputs=("question", "photo", "hint"))
    values = {"instruction": "Look.", "question": "What?", "photo": BIG[0], "hint": "a\nb"}
    request = forward_request(node, [slot(node, name, value) for name, value in values.items()], "e", "d")
    before, image, after = request.messages[1].parts
    assert (before, image) == (Text("question: What?\nphoto:\n"), BIG[0])
    assert after == Text('\n<input name="hint">\na\nb\n</input>')


def test_equal_pictures_share_a_split_and_others_do_not():
    one, same, other = (Example(id, {"photo": image}) for id, image in (("a", BIG[0]), ("b", BIG[0]), ("c", BIG[1])))
    assert normalised(one) == normalised(same) != normalised(other)
    assert fingerprint([one]) != fingerprint([replace(one, inputs={"photo": BIG[1]})])


def graph(**more):
    return Graph(
        inputs=("photo",),
        parameters=[Parameter("how", "Look."), Parameter("say", "Answer."), *more.pop("parameters", ())],
        nodes=[
            Model("seen", instruction="how", inputs=("photo",)),
            Model("answer", instruction="say", inputs=("photo", "seen"), **more),
        ],
        output="answer",
    )


EXAMPLES = [Example(f"e{number}", {"photo": image}, "dark") for number, image in enumerate(BIG)]


def specification(provider, **more):
    told = {
        "graph": graph(),
        "loss": CaseFolded(),
        "splits": split(EXAMPLES, 0, train=4, gate=4, test=4),
        "method": semantic(),
        "providers": {"forward": provider},
        "steps": 1,
        "minibatch": 4,
    }
    return Specification(**{**told, **more})


@pytest.mark.parametrize("method", [semantic, textgrad_library])
async def test_a_run_shows_pictures_forward_only_and_its_journal_holds_each_once(tmp_path, method):
    provider = Scripted(lambda request: "grey")
    result = await optimize(specification(provider, method=method(), run=tmp_path / "run"))
    assert result.held_out is not None
    forward = [request for request in provider.requests if request.messages[-1].images]
    words = [request for request in provider.requests if not request.messages[-1].images]
    assert forward
    asked_back = [text for request in words if "not shown here" in (text := request.messages[1].text)]
    assert asked_back, "the backward prompts say that there is a picture"
    used = {image for request in forward for image in request.messages[-1].images}
    for text in asked_back:
        assert not any(image.base64 in text for image in used)
        assert any(image.text in text for image in used)
    with sqlite3.connect(tmp_path / "run" / "journal.sqlite") as journal:
        texts = [unpacked(body) for (body,) in journal.execute("SELECT body FROM entries WHERE kind = 'text'")]
    for image in used:
        assert texts.count(image.url) == 1
    recorded = next(call for call in Run(tmp_path / "run").calls() if call.position.node == "seen")
    turn = recorded.request["messages"][-1]
    assert turn["content"] in [image.text for image in used]
    assert turn["pictures"] == 1
    # What it may have cost, where that is not known: as much as the dearest picture.
    assert amount_of(replace(recorded, outcome=None, charges=(), unknown=1), unpriced).input > LARGEST


def test_a_provider_without_a_place_for_pictures_is_refused_before_anything_is_asked():
    blind = Scripted(lambda request: "x", capabilities=Capabilities())
    with pytest.raises(SpecificationError, match=r"node 'seen' is shown the picture 'photo' of example .*'forward'"):
        specification(blind)


def test_demonstrations_beside_a_picture_are_refused():
    shots = Parameter("shots", Demonstrations())
    with pytest.raises(SpecificationError, match="'shots' off it"):
        specification(Scripted(lambda request: "x"), graph=graph(parameters=[shots], demonstrations="shots"))


async def test_a_function_is_given_the_picture_itself_and_cannot_have_one_recorded(tmp_path):
    sizes = []

    def size(photo, more):
        sizes.append(len(photo.data))
        return str(len(photo.data))

    def specified(call):
        node = Function("answer", call, {"photo": "photo", "more": "p"})
        world = Graph(inputs=("photo",), parameters=[Parameter("p", "x")], nodes=[node], output="answer")
        splits = Splits(tuple(EXAMPLES[:2]), tuple(EXAMPLES[2:4]), tuple(EXAMPLES[4:6]))
        return specification(Scripted(lambda request: "x"), graph=world, splits=splits)

    await optimize(specified(size))
    assert sizes
    assert set(sizes) <= {len(image.data) for image in BIG}
    with pytest.raises(NodeError, match="returned Image, which cannot be recorded"):
        await optimize(specified(lambda photo, more: photo))


def test_a_picture_is_shown_to_people_in_words():
    assert isinstance(BIG[0], Image)
    assert shown(BIG[0]) == BIG[0].text
