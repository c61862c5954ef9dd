// Package mix answers a question from a collection: BM25 finds passages, one encoder pass over
// each passage gives both its relevance (scorer) and the logits of an answer span (extractor).
//
// The method is MIX (arXiv:2012.09766) in its multi-task form: one backbone, two heads, trained
// together. Call [LoadReader] for the model and [Pipeline.Answer] for a question; use
// [Reader.Read] alone where the passage is already known.
//
// The paper leaves open how the parts combine. Chosen here:
//
//   - start and end logits are normalised across all retrieved passages, as the training does,
//     so that spans of different passages compare;
//   - a span's score is its log-probability plus weighted relevance, answerability and BM25
//     ([Fusion]); the weights are fitted on held-out training questions;
//   - spans of equal text are one answer with several places, and their shares add up;
//   - a logistic calibration turns the share into the probability that the answer is right.
package mix
