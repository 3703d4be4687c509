"""What an endpoint says of a refusal (its address, ids, times) enters no prompt, so no request depends on it."""

from __future__ import annotations

import worlds

from semprop.engine import Trainer
from semprop.providers import ErrorClass, ItemError


async def test_what_an_endpoint_says_of_a_refusal_enters_no_prompt():
    prompts = []
    for said in ("refused as req_1 at http://127.0.0.1:1", "refused as req_2 at http://127.0.0.1:2"):

        def answer(request, said=said):
            if worlds.is_forward(request) and "hint" in request.messages[-1].text:
                return ItemError(said, ErrorClass.FILTER)
            return worlds.script(request)

        scripted = worlds.scripted(answer)
        async with Trainer(worlds.specification(providers={"forward": scripted}, in_flight=1)) as trainer:
            await anext(trainer)
        prompts.append([[message.text for message in request.messages] for request in scripted.requests])
    assert not any("req_" in text for run in prompts for request in run for text in request)
    assert prompts[0] == prompts[1]
