"""Question answering as tutorials write it: the pipeline, by hand, and the features of long contexts."""

CONTEXT = "Anna Berg was born in London. She works at a school in Paris and plays guitar with Peter Lind."
LONG = " ".join(f"Clara wrote book {i} about science in New York." for i in range(20))


def question_by_keywords(models):
    from transformers import pipeline

    question_answerer = pipeline("question-answering", model=f"{models}/distilbert-squad")
    result = question_answerer(question="Where does Anna work?", context=CONTEXT)
    return result["answer"], result["start"], result["end"], type(result["score"]).__name__, sorted(result)


def question_as_a_dictionary(models):
    from transformers import pipeline

    nlp = pipeline("question-answering", model=f"{models}/distilbert-squad", device=-1)
    qa_input = {"question": "Who plays guitar?", "context": CONTEXT}
    result = nlp(qa_input)
    return result["answer"], CONTEXT[result["start"] : result["end"]]


def several_questions_about_one_text(models):
    from transformers import pipeline

    nlp = pipeline("question-answering", model=f"{models}/distilbert-squad")
    answers = nlp(question=["Who was born?", "Where is the school?"], context=CONTEXT)
    both = nlp([{"question": "Who?", "context": CONTEXT}, {"question": "How many?", "context": "Two cats"}])
    return [(a["answer"], a["start"], a["end"]) for a in answers], [a["answer"] for a in both]


def best_three_answers(models):
    from transformers import pipeline

    nlp = pipeline("question-answering", model=f"{models}/distilbert-squad")
    answers = nlp(question="Where?", context=CONTEXT, top_k=3, max_answer_len=4)
    return len(answers), answers[0]["answer"], [sorted(a) for a in answers]


def two_texts(models):
    from transformers import AutoModelForQuestionAnswering, AutoTokenizer, QuestionAnsweringPipeline

    model = AutoModelForQuestionAnswering.from_pretrained(f"{models}/distilbert-squad")
    tokenizer = AutoTokenizer.from_pretrained(f"{models}/distilbert-squad")
    nlp = QuestionAnsweringPipeline(model=model, tokenizer=tokenizer)
    return nlp("Who works in Paris?", CONTEXT)["answer"]


def answer_by_hand(models):
    import torch
    from transformers import AutoModelForQuestionAnswering, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/distilbert-squad")
    model = AutoModelForQuestionAnswering.from_pretrained(f"{models}/distilbert-squad")
    inputs = tokenizer("Who plays guitar?", CONTEXT, return_tensors="pt")
    with torch.no_grad():
        outputs = model(**inputs)
    answer_start_index = outputs.start_logits.argmax()
    answer_end_index = outputs.end_logits.argmax()
    predict_answer_tokens = inputs.input_ids[0, answer_start_index : answer_end_index + 1]
    return tokenizer.decode(predict_answer_tokens), outputs.start_logits.tolist(), outputs.end_logits.tolist()


def older_answer_by_hand(models):
    import torch
    from transformers import AutoModelForQuestionAnswering, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/distilbert-squad")
    model = AutoModelForQuestionAnswering.from_pretrained(f"{models}/distilbert-squad")
    found = []
    for question in ("Where was Anna born?", "Who works?"):
        inputs = tokenizer.encode_plus(question, CONTEXT, add_special_tokens=True, return_tensors="pt")
        input_ids = inputs["input_ids"].tolist()[0]
        outputs = model(**inputs)
        answer_start = torch.argmax(outputs[0])
        answer_end = torch.argmax(outputs[1]) + 1
        tokens = tokenizer.convert_ids_to_tokens(input_ids[answer_start:answer_end])
        found.append(tokenizer.convert_tokens_to_string(tokens))
    return found


def masked_scores_by_hand(models):
    """The course's ``-10000`` outside of the context, and the table of all pairs."""
    import torch
    from transformers import AutoModelForQuestionAnswering, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/distilbert-squad")
    model = AutoModelForQuestionAnswering.from_pretrained(f"{models}/distilbert-squad")
    inputs = tokenizer("Who lives in Paris?", CONTEXT, return_tensors="pt")
    outputs = model(**inputs)
    sequence_ids = inputs.sequence_ids()
    mask = [i != 1 for i in sequence_ids]
    mask[0] = False
    mask = torch.tensor(mask)[None]
    start_logits, end_logits = outputs.start_logits, outputs.end_logits
    start_logits[mask] = -10000
    end_logits[mask] = -10000
    start_probabilities = torch.nn.functional.softmax(start_logits, dim=-1)[0]
    end_probabilities = torch.nn.functional.softmax(end_logits, dim=-1)[0]
    scores = torch.triu(start_probabilities[:, None] * end_probabilities[None, :])
    max_index = scores.argmax().item()
    start_index, end_index = max_index // scores.shape[1], max_index % scores.shape[1]
    offsets = tokenizer("Who lives in Paris?", CONTEXT, return_offsets_mapping=True)["offset_mapping"]
    start_char, end_char = offsets[start_index][0], offsets[end_index][1]
    return CONTEXT[start_char:end_char], float(scores[start_index, end_index])


def windows_of_a_long_context(models):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/distilbert-squad")
    inputs = tokenizer(
        "Who wrote?",
        LONG,
        max_length=40,
        truncation="only_second",
        stride=10,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    decoded = [tokenizer.decode(ids) for ids in inputs["input_ids"]]
    return decoded, inputs["offset_mapping"], inputs["overflow_to_sample_mapping"], inputs.sequence_ids(1)


def features_for_training(models):
    """``prepare_train_features`` of the question answering script."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-uncased")
    examples = {
        "question": ["Where was Anna born?", "Who wrote book 7?", "Nothing?"],
        "context": [CONTEXT, LONG, CONTEXT],
        "answers": [
            {"answer_start": [CONTEXT.index("London")], "text": ["London"]},
            {"answer_start": [LONG.index("book 7")], "text": ["book 7"]},
            {"answer_start": [], "text": []},
        ],
    }
    tokenized = tokenizer(
        [q.lstrip() for q in examples["question"]],
        examples["context"],
        truncation="only_second",
        max_length=48,
        stride=16,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        padding="max_length",
    )
    sample_mapping = tokenized.pop("overflow_to_sample_mapping")
    offset_mapping = tokenized.pop("offset_mapping")
    tokenized["start_positions"] = []
    tokenized["end_positions"] = []
    for i, offsets in enumerate(offset_mapping):
        cls_index = tokenized["input_ids"][i].index(tokenizer.cls_token_id)
        sequence_ids = tokenized.sequence_ids(i)
        answers = examples["answers"][sample_mapping[i]]
        start = end = cls_index
        if len(answers["answer_start"]) > 0:
            start_char = answers["answer_start"][0]
            end_char = start_char + len(answers["text"][0])
            token_start = 0
            while sequence_ids[token_start] != 1:
                token_start += 1
            token_end = len(tokenized["input_ids"][i]) - 1
            while sequence_ids[token_end] != 1:
                token_end -= 1
            if offsets[token_start][0] <= start_char and offsets[token_end][1] >= end_char:
                while token_start < len(offsets) and offsets[token_start][0] <= start_char:
                    token_start += 1
                while offsets[token_end][1] >= end_char:
                    token_end -= 1
                start, end = token_start - 1, token_end + 1
        tokenized["start_positions"].append(start)
        tokenized["end_positions"].append(end)
    return dict(tokenized)


def loss_of_marked_answers(models):
    import torch
    from transformers import AutoModelForQuestionAnswering, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/distilbert-squad")
    model = AutoModelForQuestionAnswering.from_pretrained(f"{models}/distilbert-squad")
    inputs = tokenizer(["Who?", "Where?"], ["Anna in London", "Peter at school"], padding=True, return_tensors="pt")
    outputs = model(**inputs, start_positions=torch.tensor([3, 5]), end_positions=torch.tensor([3, 6]))
    return float(outputs.loss), list(outputs.start_logits.shape)


def best_answers_from_features(models):
    """The n-best loop of ``compute_metrics`` in the course."""
    import collections

    import numpy as np
    import torch
    from transformers import AutoModelForQuestionAnswering, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/distilbert-squad")
    model = AutoModelForQuestionAnswering.from_pretrained(f"{models}/distilbert-squad")
    inputs = tokenizer(
        ["Who wrote?"],
        [LONG],
        max_length=40,
        truncation="only_second",
        stride=10,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        padding="max_length",
    )
    example_to_features = collections.defaultdict(list)
    for i, sample in enumerate(inputs.pop("overflow_to_sample_mapping")):
        example_to_features[sample].append(i)
    offset_mapping = inputs.pop("offset_mapping")
    with torch.no_grad():
        outputs = model(**{k: torch.tensor(v) for k, v in inputs.items()})
    answers = []
    for feature_index in example_to_features[0]:
        start_logit = outputs.start_logits.cpu().numpy()[feature_index]
        end_logit = outputs.end_logits.cpu().numpy()[feature_index]
        offsets = [
            o if s == 1 else None
            for o, s in zip(offset_mapping[feature_index], inputs.sequence_ids(feature_index), strict=True)
        ]
        for start_index in np.argsort(start_logit)[-1:-21:-1].tolist():
            for end_index in np.argsort(end_logit)[-1:-21:-1].tolist():
                if offsets[start_index] is None or offsets[end_index] is None:
                    continue
                if not 0 <= end_index - start_index < 30:
                    continue
                text = LONG[offsets[start_index][0] : offsets[end_index][1]]
                answers.append((float(start_logit[start_index] + end_logit[end_index]), text))
    return max(answers, key=lambda x: x[0])
