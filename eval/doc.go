// Package eval measures question answering: it reads SQuAD files, scores answers exactly as the
// data set's official scripts do, and says how far probabilities can be trusted.
//
// Most callers want one of four functions: [OpenSQuAD] to read a set, [ScorePredictions] to score a
// file of answers, [RunSQuAD] to run a reader on the paragraphs of a set, and [RunOpen] to run a
// whole system that must find the paragraph first. All return or fill a [Report], which prints as
// JSON or as a table.
package eval
