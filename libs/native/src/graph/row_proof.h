// Proves from an ONNX file that the rows of its inputs do not depend on each other, so that rows of several callers may
// share a run. Pure: knows no ONNX Runtime.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace interleave::graph {

enum class RowVerdict : std::uint8_t {
  kIndependent,  // whatever the number of rows: each row of every output depends on its own row of the inputs only
  kMixed,        // an operator lets rows meet
  kNotProven,    // an operator or the file cannot be followed
};

struct RowProof {
  RowVerdict verdict = RowVerdict::kNotProven;
  std::string reason;  // names the operator; empty when independent
  // Which operator makes an answer depend on the length that a row is padded to; empty: none that is known. Places
  // along the padded axis do not count, and the proof says nothing about what is computed from padding.
  std::string lengthUse{};
  // Which operator lets masks or token ids into an answer in a way that padding may change unseen: masked places are
  // filled with a number that real ones may pass, places of the padding are counted, ids are computed with. Empty:
  // none.
  std::string paddingUse{};
  // Token ids, by input, whose entries in a table of FP32 are the largest and the smallest, in turn.
  std::map<std::string, std::vector<std::int64_t>, std::less<>> extremeIds{};
};

// Inputs that shorter rows are padded in, by name, and with what. In all others no row is padded.
struct PaddedInputs {
  std::map<std::string, double, std::less<>> masks;  // 1 at all places that are not padding
  std::map<std::string, double, std::less<>> ids;    // integers
};

// An axis of an input that is as long as every other one of the same number, in each run that holds several rows. Names
// in the graph say no such thing: only what is checked before a run does.
struct EqualAxis {
  std::string input;
  std::size_t axis = 0;
  int number = 0;
};
using EqualAxes = std::vector<EqualAxis>;

// For a model whose inputs all have the rows along axis 0. Never throws; takes milliseconds, since it skips weights.
RowProof ProveRows(std::string_view model, const EqualAxes& equal = {}, const PaddedInputs& padded = {});
// The same for a file. Weights in other files are not looked at.
RowProof ProveRowsOfFile(const std::string& path, const EqualAxes& equal = {}, const PaddedInputs& padded = {});

}  // namespace interleave::graph
