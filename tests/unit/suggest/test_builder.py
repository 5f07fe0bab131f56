

def test_a_classifier_that_recognises_nothing_has_answered():
    text = '{"caption": "", "keywords": [], "description": ""}'
    answer = StageAnswer(tuple(Stage), "classifier", "", "", text, 0.1)
    result = InferenceResult((answer,), has_honest_scores=True, notes=("no object recognised",))

    suggestion = build_suggestion(result, max_keywords=5)

    assert suggestion.tags == Tags()
    assert "no object recognised" in suggestion.notes
    with pytest.raises(AnswerError):
        build_suggestion(InferenceResult((answer,)), max_keywords=5)
