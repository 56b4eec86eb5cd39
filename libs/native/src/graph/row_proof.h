// Proves from an ONNX file that the rows of its inputs do not depend on each other, so that rows of several callers may
// share a run. Pure: knows no ONNX Runtime.
#pragma once

#include <cstdint>
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
};

// An axis of an input that is as long as every other one of the same number, in each run that holds several rows. Names in
// the graph say no such thing: only what is checked before a run does.
struct EqualAxis {
  std::string input;
  std::size_t axis = 0;
  int number = 0;
};
using EqualAxes = std::vector<EqualAxis>;

// Of a model whose inputs all have the rows along axis 0. Never throws; takes milliseconds, since it skips weights.
RowProof ProveRows(std::string_view model, const EqualAxes& equal = {});
// The same for a file. Weights in other files are not looked at.
RowProof ProveRowsOfFile(const std::string& path, const EqualAxes& equal = {});

}  // namespace interleave::graph
