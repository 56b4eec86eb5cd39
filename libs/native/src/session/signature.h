// What a model takes and gives, and along which axes its rows can share a run. Pure: knows no ONNX Runtime.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "item.h"

namespace interleave {

// The role of a dimension; see `Axis` of libs/contracts. `kUnknown` occurs in outputs only: the graph does not say what
// the dimension depends on, `OutputAxes` finds out while running.
enum class Axis : std::uint8_t { kBatch, kSequence0, kSequence1, kFixed, kFree, kUnknown };

// Dimension k of a run or an item: 0 for kSequence0, 1 for kSequence1, -1 for every other axis.
constexpr int SequenceIndex(Axis axis) { return axis == Axis::kSequence0 ? 0 : axis == Axis::kSequence1 ? 1 : -1; }

enum class CoalesceMode : std::uint8_t { kPadded, kEqualLength, kAlone };

// An input or output as the graph declares it: -1 marks a dimension that varies, a symbol is "" when it has no name.
struct TensorDeclaration {
  std::string name;
  int elementType = 0;  // as ONNX Runtime numbers it, supported or not
  std::vector<std::int64_t> dims;
  std::vector<std::string> symbols;
};

struct TensorSpec {
  std::string name;
  ElementType type = ElementType::kFloat32;
  Shape shape;
  std::array<Axis, kRankMax> axes{};
};

struct Signature {
  std::vector<TensorSpec> inputs;
  std::vector<TensorSpec> outputs;
  CoalesceMode coalesce = CoalesceMode::kAlone;
  std::string coalesceReason;  // empty when kPadded
  // Dimension 0 of every input is the batch axis.
  bool hasBatchAxis = false;
  // By input: token ids of the most unusual rows of the tables that they are looked up in; empty where none are known.
  std::vector<std::vector<std::int64_t>> extremeIds;
  // 0, 1 or 2 axes along which rows differ in length.
  int sequenceAxes = 0;
};

// Whether rows of several requests may share a run: when that is proven, never, or because the owner says so.
enum class MergeRows : std::uint8_t { kAuto, kNever, kAlways };

// What model.yaml says about the axes; see WorkerModelPlan of libs/contracts.
struct SignatureOptions {
  std::string batchAxisName{};  // empty: inferred
  std::vector<std::string> sequenceAxisNames{};
  // By input, of dimensions to which the graph gives no name; "": none here either.
  std::map<std::string, std::vector<std::string>> inputAxisNames{};
  std::optional<bool> paddingIsSafe{};
  MergeRows mergeRows = MergeRows::kAuto;
};

// The model cannot be served, or its options do not fit the graph; the message is meant for the model's owner.
class SignatureError : public std::runtime_error {
 public:
  explicit SignatureError(const std::string& message) : std::runtime_error(message) {}
};

// Throws SignatureError for element types and ranks that are not served and for options that name unknown axes.
Signature InferSignature(const std::vector<TensorDeclaration>& inputs, const std::vector<TensorDeclaration>& outputs,
                         const SignatureOptions& options);

// The first dimension of every output has one entry for each row, whatever the graph calls it.
void MarkRows(Signature& signature);

// What an owner can say who knows better.
inline constexpr const char* kPaddingAdvice =
    "; if padding leaves its answers alone, set paddingIsSafe: true in model.yaml";

// An input of this name is a mask: 1 where a row has content, 0 where it is padded.
bool IsMaskName(std::string_view inputName);

// The Open Inference name: FP32, INT64, BYTES, ...
std::string_view DatatypeName(ElementType type);

}  // namespace interleave
