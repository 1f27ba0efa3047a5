"""Training loops and models of people's own, as tutorials write them. Dropout is 0, so that results can be compared."""

SENTENCES = ["I love this film", "I hate this film", "a great book", "a terrible book", "good food", "bad food"]
LABELS = [1, 0, 1, 0, 1, 0]


def fine_tuning_by_hand(models):
    """The full loop of the course: AdamW, ``get_scheduler``, a DataLoader, and accuracy at the end."""
    import torch
    from torch.optim import AdamW
    from torch.utils.data import DataLoader
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, get_scheduler

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/distilbert-sst-2")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/distilbert-sst-2", num_labels=2)
    rows = [{**tokenizer(text), "labels": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    dataloader = DataLoader(rows, batch_size=4, collate_fn=lambda batch: tokenizer.pad(batch, return_tensors="pt"))
    optimizer = AdamW(model.parameters(), lr=5e-3)
    num_training_steps = 10 * len(dataloader)
    lr_scheduler = get_scheduler(
        "linear", optimizer=optimizer, num_warmup_steps=0, num_training_steps=num_training_steps
    )
    device = torch.device("cpu")
    model.to(device)
    losses = []
    model.train()
    for _ in range(10):
        for batch in dataloader:
            batch = {k: v.to(device) for k, v in batch.items()}
            outputs = model(**batch)
            loss = outputs.loss
            loss.backward()
            optimizer.step()
            lr_scheduler.step()
            optimizer.zero_grad()
            losses.append(loss.item())
    model.eval()
    correct = 0
    for batch in dataloader:
        with torch.no_grad():
            outputs = model(**{k: v for k, v in batch.items() if k != "labels"})
        correct += int((outputs.logits.argmax(dim=-1) == batch["labels"]).sum())
    return losses[:4], losses[-1] < losses[0], correct, lr_scheduler.get_last_lr()


def warm_up_and_weight_decay_by_name(models):
    import torch
    from transformers import BertForSequenceClassification, BertTokenizer, get_linear_schedule_with_warmup

    tokenizer = BertTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    model = BertForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
    no_decay = ["bias", "LayerNorm.weight"]
    named = list(model.named_parameters())
    optimizer_grouped_parameters = [
        {"params": [p for n, p in named if not any(nd in n for nd in no_decay)], "weight_decay": 0.01},
        {"params": [p for n, p in named if any(nd in n for nd in no_decay)], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(optimizer_grouped_parameters, lr=1e-3, eps=1e-8)
    scheduler = get_linear_schedule_with_warmup(optimizer, num_warmup_steps=2, num_training_steps=6)
    encoded = tokenizer(SENTENCES, padding=True, return_tensors="pt")
    losses, rates = [], []
    for _ in range(6):
        model.zero_grad()
        outputs = model(
            encoded["input_ids"],
            token_type_ids=None,
            attention_mask=encoded["attention_mask"],
            labels=torch.tensor(LABELS),
        )
        loss, logits = outputs[0], outputs[1]
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
        rates.append(scheduler.get_last_lr()[0])
    return losses, rates, [len(g["params"]) for g in optimizer_grouped_parameters], logits.tolist()


def the_librarys_own_adamw(models):
    from transformers import AdamW, AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/distilbert-sst-2")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/distilbert-sst-2")
    optimizer = AdamW(model.parameters(), lr=2e-3, correct_bias=True)
    batch = tokenizer(SENTENCES, padding=True, truncation=True, return_tensors="pt")
    import torch

    batch["labels"] = torch.tensor(LABELS)
    first = model(**batch).loss
    first.backward()
    optimizer.step()
    return first.item() > model(**batch).loss.item()


def frozen_body(models):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    for param in model.base_model.parameters():
        param.requires_grad = False
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    before = model.bert.embeddings.word_embeddings.weight.sum().item()
    loss = model(**tokenizer(SENTENCES, padding=True, return_tensors="pt"), labels=torch.tensor(LABELS)).loss
    loss.backward()
    optimizer.step()
    trained = [name for name, param in model.named_parameters() if param.requires_grad]
    return trained, loss.item(), before == model.bert.embeddings.word_embeddings.weight.sum().item()


def layers_frozen_by_name(models):
    from transformers import BertForSequenceClassification

    model = BertForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
    for name, param in model.named_parameters():
        if name.startswith("bert.embeddings") or "encoder.layer.0." in name:
            param.requires_grad = False
    for param in model.bert.encoder.layer[1].attention.self.query.parameters():
        param.requires_grad = False
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return trainable, model.num_parameters(), [n for n, p in model.named_parameters() if p.requires_grad]


def layers_of_distilbert_frozen(models):
    from transformers import DistilBertForSequenceClassification

    model = DistilBertForSequenceClassification.from_pretrained(f"{models}/distilbert-sst-2")
    for param in model.distilbert.parameters():
        param.requires_grad = False
    return sorted(n for n, p in model.named_parameters() if p.requires_grad)


def new_tokens(models):
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-uncased")
    model = AutoModel.from_pretrained(f"{models}/bert-base-uncased")
    old = model.get_input_embeddings().weight.shape[0]
    added = tokenizer.add_tokens(["covid", "lockdown"])
    special = tokenizer.add_special_tokens({"additional_special_tokens": ["[E1]", "[/E1]"]})
    model.resize_token_embeddings(len(tokenizer))
    ids = tokenizer("[E1] covid [/E1] and a cat", return_tensors="pt")
    tokens = tokenizer.convert_ids_to_tokens(ids["input_ids"][0])
    return added, special, tokens, model.get_input_embeddings().weight.shape[0] - old, model(**ids)[0].shape[1]


def a_head_of_ones_own(models):
    import torch
    from torch import nn
    from transformers import AutoModel, AutoTokenizer

    class BERTClassifier(nn.Module):
        def __init__(self, bert_model_name, num_classes):
            super().__init__()
            self.bert = AutoModel.from_pretrained(bert_model_name)
            self.dropout = nn.Dropout(0.0)
            self.fc = nn.Linear(self.bert.config.hidden_size, num_classes)
            nn.init.constant_(self.fc.weight, 0.1)
            nn.init.zeros_(self.fc.bias)

        def forward(self, input_ids, attention_mask):
            outputs = self.bert(input_ids=input_ids, attention_mask=attention_mask)
            pooled_output = outputs.pooler_output
            return self.fc(self.dropout(pooled_output))

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/all-minilm")
    model = BERTClassifier(f"{models}/all-minilm", 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    encoding = tokenizer(SENTENCES, max_length=12, padding="max_length", truncation=True, return_tensors="pt")
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        outputs = model(input_ids=encoding["input_ids"], attention_mask=encoding["attention_mask"])
        loss = nn.CrossEntropyLoss()(outputs, torch.tensor(LABELS))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, "bert.encoder.layer.0.attention.self.query.weight" in model.state_dict()


def weights_kept_as_a_state_dict(models):
    import os
    import tempfile

    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    name = f"{models}/bert-base-mrpc"
    model = AutoModelForSequenceClassification.from_pretrained(name)
    tokenizer = AutoTokenizer.from_pretrained(name)
    with torch.no_grad():
        model.classifier.bias.add_(1.5)
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "model.pt")
        torch.save(model.state_dict(), path)
        again = AutoModelForSequenceClassification.from_pretrained(name)
        result = again.load_state_dict(torch.load(path, map_location="cpu"))
    inputs = tokenizer("We love you", return_tensors="pt")
    return str(result), again(**inputs).logits.tolist()


def saved_and_loaded(models):
    import os
    import tempfile

    from transformers import AutoModelForTokenClassification, AutoTokenizer

    model = AutoModelForTokenClassification.from_pretrained(f"{models}/bert-large-ner")
    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-large-ner")
    with tempfile.TemporaryDirectory() as output_dir:
        model.save_pretrained(output_dir)
        tokenizer.save_pretrained(output_dir)
        files = {"config.json", "model.safetensors", "tokenizer.json"} <= set(os.listdir(output_dir))
        model = AutoModelForTokenClassification.from_pretrained(output_dir)
        tokenizer = AutoTokenizer.from_pretrained(output_dir)
    logits = model(**tokenizer("Anna lives in London", return_tensors="pt")).logits
    return files, logits.tolist(), model.config.id2label


def labels_of_ones_own(models):
    from transformers import AutoConfig, AutoModelForSequenceClassification, AutoModelForTokenClassification

    id2label = {0: "O", 1: "B-X", 2: "I-X"}
    label2id = {v: k for k, v in id2label.items()}
    config = AutoConfig.from_pretrained(
        f"{models}/bert-base-uncased", num_labels=3, id2label=id2label, label2id=label2id, hidden_dropout_prob=0.2
    )
    model = AutoModelForTokenClassification.from_pretrained(f"{models}/bert-base-uncased", config=config)
    other = AutoModelForSequenceClassification.from_pretrained(
        f"{models}/distilbert-base-uncased", num_labels=5, problem_type="multi_label_classification"
    )
    return (
        model.config.id2label,
        model.config.label2id,
        model.classifier.weight.shape[0],
        config.hidden_dropout_prob,
        other.config.num_labels,
        other.config.id2label[4],
    )


def another_head_on_a_classifier(models):
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(
        f"{models}/bert-base-mrpc", num_labels=4, ignore_mismatched_sizes=True
    )
    return list(model.classifier.weight.shape), model.config.num_labels


def every_family_by_auto_classes(models):
    import torch
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    names = ("bert-base-uncased", "distilbert-base-uncased", "distilroberta-base", "xlm-roberta-ner", "camembert-base")
    found = {}
    for name in (*names, "albert-base", "electra-small", "modernbert-base"):
        config = AutoConfig.from_pretrained(f"{models}/{name}")
        tokenizer = AutoTokenizer.from_pretrained(f"{models}/{name}")
        model = AutoModel.from_pretrained(f"{models}/{name}")
        with torch.no_grad():
            output = model(**tokenizer("the sea and the wind", return_tensors="pt"))
        found[name] = (config.model_type, type(model).__name__, output.last_hidden_state.mean(1).tolist())
    return found


def a_model_from_nothing(models):
    import torch
    from transformers import BertConfig, BertForMaskedLM, BertModel

    config = BertConfig(
        vocab_size=100, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    model = BertForMaskedLM(config)
    body = BertModel(config, add_pooling_layer=False)
    out = model(torch.tensor([[1, 2, 3]]), labels=torch.tensor([[1, -100, 3]]))
    return model.num_parameters(), body.pooler is None, out.logits.shape[-1], 3 < out.loss.item() < 6


def masked_language_modelling_by_hand(models):
    import torch
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/distilroberta-base")
    model = AutoModelForMaskedLM.from_pretrained(f"{models}/distilroberta-base")
    inputs = tokenizer(["The keeper wrote a letter.", "The boat took it"], return_tensors="pt", padding=True)
    labels = inputs["input_ids"].clone()
    masked = torch.zeros_like(labels, dtype=torch.bool)
    masked[:, 2:4] = True
    labels[~masked] = -100
    inputs["input_ids"][masked] = tokenizer.mask_token_id
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(3):
        loss = model(**inputs, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


def tagging_words_by_hand(models):
    import torch
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/xlm-roberta-ner")
    model = AutoModelForTokenClassification.from_pretrained(f"{models}/xlm-roberta-ner")
    batch = tokenizer(
        [["The", "keeper", "wrote"], ["boats"]], is_split_into_words=True, padding=True, return_tensors="pt"
    )
    labels = [[-100 if word is None else word + 1 for word in batch.word_ids(i)] for i in range(2)]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(3):
        outputs = model(**batch, labels=torch.tensor(labels))
        outputs.loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(outputs.loss.item())
    return losses, list(outputs.logits.shape)


def accumulated_gradients(models):
    import torch
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        get_constant_schedule_with_warmup,
        set_seed,
    )

    set_seed(42)
    tokenizer = AutoTokenizer.from_pretrained(f"{models}/albert-base")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/albert-base")
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    scheduler = get_constant_schedule_with_warmup(optimizer, num_warmup_steps=2)
    losses = []
    for step, (text, label) in enumerate(zip(SENTENCES, LABELS, strict=True)):
        inputs = tokenizer(text, return_tensors="pt")
        loss = model(**inputs, labels=torch.tensor([label])).loss / 2
        loss.backward()
        losses.append(loss.item())
        if step % 2:
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
    return losses, scheduler.get_last_lr()


def several_labels_at_once(models):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-emotions")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-emotions")
    labels = torch.tensor([[1, 0, 0, 1], [0, 0, 1, 0]], dtype=torch.float)
    outputs = model(**tokenizer(["we love it", "no"], padding=True, return_tensors="pt"), labels=labels)
    return float(outputs.loss), torch.sigmoid(outputs.logits).tolist()
