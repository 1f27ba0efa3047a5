"""Classification as tutorials write it: sentiment, emotions, inference, zero-shot."""

# ruff: noqa: T201


def sentiment_of_one_text(models):
    from transformers import pipeline

    classifier = pipeline("sentiment-analysis", model=f"{models}/distilbert-sst-2")
    return classifier("I've been waiting for a great course my whole life.")


def sentiment_of_a_list(models):
    from transformers import pipeline

    classifier = pipeline("sentiment-analysis", model=f"{models}/distilbert-sst-2")
    results = classifier(["I've been waiting for this course.", "I hate this so much!"])
    return [f"label: {result['label']}, with score: {round(result['score'], 3)}" for result in results]


def all_scores_in_the_older_spelling(models):
    from transformers import pipeline

    classifier = pipeline("text-classification", model=f"{models}/bert-emotions", return_all_scores=True)
    prediction = classifier("I love this film")
    return [(row["label"], row["score"]) for row in prediction[0]], prediction


def all_scores(models):
    from transformers import pipeline

    classifier = pipeline(task="text-classification", model=f"{models}/bert-emotions", top_k=None)
    return classifier(["I love this film", "This is not about you"])


def best_two_in_the_call(models):
    from transformers import pipeline

    classifier = pipeline(task="text-classification", model=f"{models}/bert-emotions")
    return classifier("we love food", top_k=2), classifier(["we love food"], top_k=2), classifier("food", top_k=1)


def model_and_tokenizer_loaded_first(models):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

    model_name = f"{models}/distilbert-sst-2"
    model = AutoModelForSequenceClassification.from_pretrained(model_name)
    tokenizer = AutoTokenizer.from_pretrained(model_name)
    classifier = pipeline("sentiment-analysis", model=model, tokenizer=tokenizer, device=-1)
    return classifier("The movie was great."), classifier.task, str(classifier.device)


def class_of_the_pipeline_by_name(models):
    from transformers import (
        DistilBertForSequenceClassification,
        DistilBertTokenizerFast,
        TextClassificationPipeline,
    )

    model = DistilBertForSequenceClassification.from_pretrained(f"{models}/distilbert-sst-2")
    tokenizer = DistilBertTokenizerFast.from_pretrained(f"{models}/distilbert-sst-2")
    pipe = TextClassificationPipeline(model=model, tokenizer=tokenizer, function_to_apply="sigmoid")
    return pipe("The movie was great."), pipe("The movie was great.", function_to_apply="none")


def truncation_through_the_tokenizer_arguments(models):
    from transformers import pipeline

    classifier = pipeline("sentiment-analysis", model=f"{models}/distilbert-sst-2")
    tokenizer_kwargs = {"padding": True, "truncation": True, "max_length": 32}
    return classifier(["a terrible movie about nothing " * 40, "great"], **tokenizer_kwargs)


def a_generator_in_batches(models):
    from transformers import pipeline

    def reviews():
        for i in range(7):
            yield f"This movie was number {i}" + ", and it was good" * i

    classifier = pipeline("text-classification", model=f"{models}/distilbert-sst-2", device=-1)
    return [out["label"] + f" {out['score']:.4f}" for out in classifier(reviews(), batch_size=3)]


def a_column_of_a_data_set(models):
    from transformers import pipeline
    from transformers.pipelines.pt_utils import KeyDataset

    dataset = [{"text": f"we love book {i}", "label": i % 2} for i in range(5)]
    classifier = pipeline("text-classification", model=f"{models}/distilbert-sst-2", device=-1, truncation=True)
    return list(classifier(KeyDataset(dataset, "text"), batch_size=2))


def pairs_as_dictionaries(models):
    from transformers import pipeline

    classifier = pipeline("text-classification", model=f"{models}/roberta-large-mnli")
    return (
        classifier({"text": "The cat eats an apple.", "text_pair": "A cat eats."}),
        classifier(
            [{"text": "We won.", "text_pair": "We lost."}, {"text": "A game", "text_pair": "A team"}], top_k=None
        ),
    )


def answers_as_json(models):
    import json

    from transformers import pipeline

    classifier = pipeline("sentiment-analysis", model=f"{models}/distilbert-sst-2")
    return json.loads(json.dumps(classifier(["good", "bad"], top_k=None)))


def saved_and_loaded(models):
    import tempfile

    from transformers import pipeline

    classifier = pipeline("text-classification", model=f"{models}/bert-emotions")
    with tempfile.TemporaryDirectory() as directory:
        classifier.save_pretrained(directory)
        again = pipeline("text-classification", model=directory)
        return again.task, again("your food is great", top_k=None)


def logits_by_hand(models):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    checkpoint = f"{models}/distilbert-sst-2"
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint)
    raw_inputs = ["I've been waiting for a course my whole life.", "I hate this so much!"]
    inputs = tokenizer(raw_inputs, padding=True, truncation=True, return_tensors="pt")
    outputs = model(**inputs)
    predictions = torch.nn.functional.softmax(outputs.logits, dim=-1)
    return inputs["input_ids"].tolist(), predictions.tolist(), model.config.id2label


def one_prediction_by_hand(models):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-emotions")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-emotions")
    model.eval()
    inputs = tokenizer("I hate the price", return_tensors="pt")
    with torch.no_grad():
        logits = model(**inputs).logits
    predicted_class_id = logits.argmax().item()
    probabilities = torch.sigmoid(logits.squeeze()).numpy()
    return model.config.id2label[predicted_class_id], [float(p) for p in probabilities]


def paraphrases_by_hand(models):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
    sequence_0 = "The company works in New York."
    sequence_1 = "Apples are bad for the cat."
    sequence_2 = "The company lives in New York."
    paraphrase = tokenizer(sequence_0, sequence_2, return_tensors="pt")
    not_paraphrase = tokenizer.encode_plus(sequence_0, sequence_1, return_tensors="pt")
    results = []
    for pair in (paraphrase, not_paraphrase):
        classification_logits = model(**pair)[0]
        results.append(torch.softmax(classification_logits, dim=1).tolist()[0])
    return results


def inference_by_hand(models):
    import torch
    from transformers import RobertaForSequenceClassification, RobertaTokenizer

    tokenizer = RobertaTokenizer.from_pretrained(f"{models}/roberta-large-mnli")
    model = RobertaForSequenceClassification.from_pretrained(f"{models}/roberta-large-mnli")
    premises = ["The team won the game.", "Anna plays guitar"]
    hypotheses = ["The team lost.", "Somebody makes music, and it is good"]
    batch = tokenizer(premises, hypotheses, padding=True, truncation="only_first", return_tensors="pt")
    probabilities = torch.softmax(model(**batch).logits, -1)
    labels = [model.config.id2label[i] for i in probabilities.argmax(-1).tolist()]
    return labels, probabilities.tolist()


def zero_shot_by_hand(models):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    nli_model = AutoModelForSequenceClassification.from_pretrained(f"{models}/roberta-large-mnli")
    tokenizer = AutoTokenizer.from_pretrained(f"{models}/roberta-large-mnli")
    premise, label = "Who are you voting for?", "politics"
    x = tokenizer.encode(premise, f"This example is {label}.", return_tensors="pt", truncation_strategy="only_first")
    logits = nli_model(x.to("cpu"))[0]
    entail_contradiction_logits = logits[:, [0, 2]]
    return entail_contradiction_logits.softmax(dim=1)[:, 1].tolist()


def zero_shot(models):
    from transformers import pipeline

    classifier = pipeline("zero-shot-classification", model=f"{models}/roberta-large-mnli")
    return classifier("This is a course about the new library", candidate_labels=["education", "politics", "business"])


def zero_shot_with_several_true_labels(models):
    from transformers import pipeline

    classifier = pipeline("zero-shot-classification", model=f"{models}/roberta-large-mnli", device=-1)
    sequences = ["who are you voting for?", "the team won"]
    template = "This text is about {}."
    return classifier(sequences, "politics, sports, science", hypothesis_template=template, multi_label=True)
