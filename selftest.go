package evident

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The sample that [SelfTest] asks about, and what it must answer.
const (
	selfTestText = "A short history of the valley\n\nThe first bridge, a wooden one, burnt down in 1902. " +
		"The bridge, designed by Lise Maurer and opened in 1931, spans the Aare.\n"
	selfTestQuestion = "Who designed the bridge?"
	selfTestAnswer   = "Lise Maurer"
)

// SelfTest answers a question about a sample that is inside the program: it indexes it in a folder of
// its own, which it removes, asks the small built-in reader, and compares the answer and its place with
// what they must be. It needs no file and no network.
func SelfTest(ctx context.Context, o Options) (check Check) {
	check.Name = "self-test"
	said, err := selfTest(ctx, o)
	if check.OK, check.Detail = err == nil, said; err != nil {
		check.Detail = err.Error()
	}
	return check
}

func selfTest(ctx context.Context, o Options) (said string, err error) {
	folder, err := os.MkdirTemp("", "evident-self-test-")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	file := filepath.Join(folder, "valley.txt")
	if err := os.WriteFile(file, []byte(selfTestText), 0o600); err != nil {
		return "", err
	}
	o.Create, o.Fast, o.Model = true, true, nil
	index, err := Open(ctx, filepath.Join(folder, "index"), o)
	if err != nil {
		return "", err
	}
	defer index.Close()
	if _, err := index.Add(ctx, []string{file}, AddOptions{}); err != nil {
		return "", err
	}
	answer, err := index.Ask(ctx, selfTestQuestion, AskOptions{Top: 1})
	if err != nil {
		return "", err
	}
	if answer.Abstained || answer.Answers[0].Text != selfTestAnswer {
		return "", fmt.Errorf("asked %q of the sample, it answered %+v", selfTestQuestion, answer.Answers)
	}
	at := answer.Answers[0].Evidence.Text.Byte[0]
	if at != strings.Index(selfTestText, selfTestAnswer) {
		return "", fmt.Errorf("the answer was marked at byte %d", at)
	}
	return fmt.Sprintf("asked %q: %q, probability %.2f", selfTestQuestion, selfTestAnswer, answer.Answers[0].Score), nil
}
