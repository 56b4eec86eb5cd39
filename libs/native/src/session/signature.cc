#include "session/signature.h"

#include <algorithm>
#include <cctype>
#include <iterator>
#include <set>

#include "session/axis_names.h"

namespace interleave {
namespace {

using Symbols = std::vector<std::string>;

constexpr std::size_t kSequenceAxesMax = 2;

std::string Lower(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  return lower;
}

bool Contains(const Symbols& symbols, const std::string& symbol) {
  return std::find(symbols.begin(), symbols.end(), symbol) != symbols.end();
}

bool LooksLikeBatch(const std::string& symbol) {
  const std::string name = Lower(symbol);
  return name.find("batch") != std::string::npos || name == "n" || name == "b" || name == "bs";
}

bool LooksLikeSequence(const std::string& symbol) {
  const std::string name = Lower(symbol);
  for (const char* word : {"seq", "len", "time", "frame", "sample", "token", "word"}) {
    if (name.find(word) != std::string::npos) return true;
  }
  return false;
}

bool IsMask(const TensorDeclaration& input) { return IsMaskName(input.name); }

std::string Quoted(std::string_view name) { return '"' + std::string(name) + '"'; }

std::string Listed(const Symbols& symbols) {
  std::string list;
  for (const auto& symbol : symbols) list += (list.empty() ? "" : ", ") + Quoted(symbol);
  return list.empty() ? "none" : list;
}

std::string ElementTypeText(int elementType) {
  switch (elementType) {
    case 14:
      return "complex64";
    case 15:
      return "complex128";
    case 17:
    case 18:
    case 19:
    case 20:
      return "float8";
    case 21:
    case 22:
      return "int4";
    default:
      return "number " + std::to_string(elementType);
  }
}

TensorSpec CheckedSpec(const TensorDeclaration& declaration, const char* kind) {
  const std::string what = std::string(kind) + ' ' + Quoted(declaration.name);
  const auto type = static_cast<ElementType>(declaration.elementType);
  if (DatatypeName(type).empty()) {
    throw SignatureError(what + " has element type " + ElementTypeText(declaration.elementType) +
                         ", which is not served");
  }
  if (declaration.dims.size() > kRankMax) {
    throw SignatureError(what + " has " + std::to_string(declaration.dims.size()) + " dimensions; at most " +
                         std::to_string(kRankMax) + " are served");
  }
  TensorSpec spec{.name = declaration.name, .type = type, .shape = {}, .axes = {}};
  spec.shape.rank = static_cast<std::uint8_t>(declaration.dims.size());
  std::copy(declaration.dims.begin(), declaration.dims.end(), spec.shape.dims.begin());
  spec.axes.fill(Axis::kFixed);
  return spec;
}

// Names of dimension 0 that mean the batch; unnamed ones count as well.
struct BatchAxis {
  Symbols symbols;
  std::string missingReason;  // empty: there is a batch axis
};

// The name given in model.yaml: an input without it means that rows cannot be stacked, no input with it is a mistake.
BatchAxis NamedBatchAxis(const std::vector<TensorDeclaration>& inputs, const std::string& name) {
  std::string without;
  Symbols seen;
  for (const auto& input : inputs) {
    if (!input.dims.empty() && input.symbols[0] == name) continue;
    without = input.name;
    if (!input.dims.empty() && !input.symbols[0].empty()) seen.push_back(input.symbols[0]);
  }
  if (without.empty()) return {{name}, ""};
  const bool found = std::any_of(inputs.begin(), inputs.end(), [&](const TensorDeclaration& input) {
    return !input.dims.empty() && input.symbols[0] == name;
  });
  if (!found) {
    throw SignatureError("axes.batch: expected the name of the inputs' first dimension (" + Listed(seen) +
                         ") but received " + Quoted(name));
  }
  return {{}, "input " + Quoted(without) + " does not start with the batch axis " + Quoted(name)};
}

BatchAxis InferBatchAxis(const std::vector<TensorDeclaration>& inputs, const SignatureOptions& options) {
  if (inputs.empty()) return {{}, "the model has no inputs"};
  if (!options.batchAxisName.empty()) return NamedBatchAxis(inputs, options.batchAxisName);
  std::set<std::string> names;
  for (const auto& input : inputs) {
    if (input.dims.empty() || input.dims[0] >= 0) {
      return {{}, "the first dimension of input " + Quoted(input.name) + " does not vary"};
    }
    if (!input.symbols[0].empty()) names.insert(input.symbols[0]);
  }
  const Symbols symbols(names.begin(), names.end());
  Symbols telling;
  std::remove_copy_if(symbols.begin(), symbols.end(), std::back_inserter(telling), IsNumberedByExporter);
  if (std::all_of(telling.begin(), telling.end(), LooksLikeBatch)) return {symbols, ""};
  if (telling.size() > 1) return {{}, "the inputs' first dimensions have different names: " + Listed(telling)};
  if (LooksLikeSequence(telling[0])) return {{}, "the first dimension is " + Quoted(telling[0]) + ", not a batch"};
  return {symbols, ""};
}

bool HasSecondBatchAxis(const TensorDeclaration& tensor, const Symbols& batch) {
  for (std::size_t i = 1; i < tensor.dims.size(); ++i) {
    if (tensor.dims[i] < 0 && Contains(batch, tensor.symbols[i])) return true;
  }
  return false;
}

// Why rows cannot be stacked and given back one by one; empty when they can.
std::string RowObstacle(const std::vector<TensorDeclaration>& inputs, const std::vector<TensorDeclaration>& outputs,
                        const Symbols& batch, const Symbols& others) {
  for (const auto& input : inputs) {
    if (HasSecondBatchAxis(input, batch)) return "input " + Quoted(input.name) + " has a second batch axis";
  }
  for (const auto& output : outputs) {
    const std::string what = "output " + Quoted(output.name);
    if (output.dims.empty() || output.dims[0] >= 0 || Contains(others, output.symbols[0])) {
      return what + " does not start with the batch axis";
    }
    if (HasSecondBatchAxis(output, batch)) return what + " has a second batch axis";
  }
  return "";
}

// Names of the inputs' varying dimensions but the batch, in order of appearance.
Symbols VaryingSymbols(const std::vector<TensorDeclaration>& inputs, bool hasBatch, bool masksOnly) {
  Symbols symbols;
  for (const auto& input : inputs) {
    if (masksOnly && !IsMask(input)) continue;
    for (std::size_t i = hasBatch ? 1 : 0; i < input.dims.size(); ++i) {
      const auto& symbol = input.symbols[i];
      if (input.dims[i] < 0 && !symbol.empty() && !Contains(symbols, symbol)) symbols.push_back(symbol);
    }
  }
  return symbols;
}

// An axis without a mask of its own is not padded when the model has masks for others: nothing says that it may be.
Symbols InferSequenceAxes(const std::vector<TensorDeclaration>& inputs, bool hasBatch,
                          const SignatureOptions& options) {
  const Symbols varying = VaryingSymbols(inputs, hasBatch, false);
  if (!options.sequenceAxisNames.empty()) {
    if (options.sequenceAxisNames.size() > kSequenceAxesMax) {
      throw SignatureError("axes.sequence: expected at most 2 names but received " +
                           std::to_string(options.sequenceAxisNames.size()));
    }
    for (const auto& name : options.sequenceAxisNames) {
      if (!Contains(varying, name)) {
        throw SignatureError("axes.sequence: expected names of varying input dimensions (" + Listed(varying) +
                             ") but received " + Quoted(name));
      }
    }
    return options.sequenceAxisNames;
  }
  const Symbols masked = VaryingSymbols(inputs, hasBatch, true);
  Symbols axes = masked.empty() || options.paddingIsSafe == true ? varying : masked;
  if (axes.size() > kSequenceAxesMax) axes.resize(kSequenceAxesMax);
  return axes;
}

struct KnownAxes {
  bool hasBatch = false;
  Symbols batch;
  Symbols sequence;
  Symbols varying;
};

// Whether the first dimension of an output may have one entry for each row: its name does not say otherwise.
bool MayBeRows(const std::string& symbol, const KnownAxes& known) {
  if (symbol.empty() || Contains(known.batch, symbol)) return true;
  return !Contains(known.varying, symbol) && (LooksLikeBatch(symbol) || IsNumberedByExporter(symbol));
}

Axis AxisOf(const TensorDeclaration& tensor, std::size_t dimension, const KnownAxes& known, bool isOutput) {
  if (tensor.dims[dimension] >= 0) return Axis::kFixed;
  const auto& symbol = tensor.symbols[dimension];
  if (dimension == 0 && known.hasBatch && (!isOutput || MayBeRows(symbol, known))) return Axis::kBatch;
  if (!symbol.empty()) {
    for (std::size_t k = 0; k < known.sequence.size(); ++k) {
      if (known.sequence[k] == symbol) return k == 0 ? Axis::kSequence0 : Axis::kSequence1;
    }
  }
  return isOutput && !Contains(known.varying, symbol) ? Axis::kUnknown : Axis::kFree;
}

std::vector<TensorSpec> Specs(const std::vector<TensorDeclaration>& tensors, const KnownAxes& known, bool isOutput) {
  std::vector<TensorSpec> specs;
  for (const auto& tensor : tensors) {
    TensorSpec spec = CheckedSpec(tensor, isOutput ? "output" : "input");
    for (std::size_t i = 0; i < tensor.dims.size(); ++i) spec.axes[i] = AxisOf(tensor, i, known, isOutput);
    specs.push_back(std::move(spec));
  }
  return specs;
}

bool HasSymbol(const TensorDeclaration& input, const Symbols& symbols) {
  for (std::size_t i = 0; i < input.dims.size(); ++i) {
    if (input.dims[i] < 0 && !input.symbols[i].empty() && Contains(symbols, input.symbols[i])) return true;
  }
  return false;
}

bool IsWhole(int elementType) {
  const auto type = static_cast<ElementType>(elementType);
  return type != ElementType::kFloat32 && type != ElementType::kFloat64 && type != ElementType::kFloat16 &&
         type != ElementType::kBfloat16 && type != ElementType::kString;
}

// Why padding is not even tried; empty: masks say where it is, and what it is put beside are token ids. Of other
// numbers the tried ones show nothing: a model that fills masked places with -10 is right for all that are above.
std::string PaddingObstacle(const std::vector<TensorDeclaration>& inputs, const KnownAxes& known,
                            const SignatureOptions& options) {
  if (known.sequence.empty() || options.paddingIsSafe == true) return "";
  if (options.paddingIsSafe == false) return "model.yaml says that padding is not safe";
  const Symbols masked = VaryingSymbols(inputs, known.hasBatch, true);
  for (const auto& symbol : known.sequence) {
    if (Contains(masked, symbol)) continue;
    return "the model has no mask input" + (masked.empty() ? "" : " for axis " + Quoted(symbol)) +
           ", so padding could change its answers" + kPaddingAdvice;
  }
  if (options.mergeRows == MergeRows::kAlways)
    return std::string("mergeRows: always says nothing of padding, and nothing was tried") + kPaddingAdvice;
  for (const auto& input : inputs) {
    if (!HasSymbol(input, known.sequence) || IsWhole(input.elementType)) continue;
    return "input " + Quoted(input.name) + " along the sequence axis is " +
           (IsMask(input) ? "a mask that does not hold integers" : "not of token ids") +
           ", so padding could change answers" + kPaddingAdvice;
  }
  return "";
}

void CheckCount(const std::vector<TensorDeclaration>& tensors, const char* kind) {
  if (tensors.size() <= kTensorsMax) return;
  throw SignatureError("the model has " + std::to_string(tensors.size()) + ' ' + kind + "; at most " +
                       std::to_string(kTensorsMax) + " are served");
}

// Without the names that name nothing, unless model.yaml speaks of them.
std::vector<TensorDeclaration> WithoutPlaceholders(std::vector<TensorDeclaration> tensors,
                                                   const SignatureOptions& options) {
  for (auto& tensor : tensors) {
    for (auto& symbol : tensor.symbols) {
      const bool isAsked = symbol == options.batchAxisName || Contains(options.sequenceAxisNames, symbol);
      if (IsPlaceholder(symbol) && !isAsked) symbol.clear();
    }
  }
  return tensors;
}

// What the graph leaves open and model.yaml says: a graph that names such a dimension itself may be optimised
// otherwise.
void NameAxes(std::vector<TensorDeclaration>& inputs, const SignatureOptions& options) {
  for (const auto& [name, axes] : options.inputAxisNames) {
    const auto input = std::find_if(inputs.begin(), inputs.end(),
                                    [&name = name](const TensorDeclaration& each) { return each.name == name; });
    const std::string what = "axes.inputs: input " + Quoted(name);
    if (input == inputs.end()) throw SignatureError(what + ": the model has none of this name");
    if (input->dims.size() != axes.size()) {
      throw SignatureError(what + ": expected " + std::to_string(input->dims.size()) + " names, null for none, but " +
                           std::to_string(axes.size()) + " are given");
    }
    for (std::size_t d = 0; d < axes.size(); ++d) {
      if (axes[d].empty()) continue;
      const std::string& own = input->symbols[d];
      if (input->dims[d] >= 0 || (!own.empty() && own != axes[d])) {
        throw SignatureError(what + ": expected no name but null for dimension " + std::to_string(d) + ", which " +
                             (own.empty() ? "does not vary" : "is called " + Quoted(own)));
      }
      input->symbols[d] = axes[d];
    }
  }
}

}  // namespace

Signature InferSignature(const std::vector<TensorDeclaration>& declaredInputs,
                         const std::vector<TensorDeclaration>& declaredOutputs, const SignatureOptions& options) {
  CheckCount(declaredInputs, "inputs");
  CheckCount(declaredOutputs, "outputs");
  auto inputs = WithoutPlaceholders(declaredInputs, options);
  NameAxes(inputs, options);
  const auto outputs = WithoutPlaceholders(declaredOutputs, options);
  BatchAxis batch = InferBatchAxis(inputs, options);
  const bool hasBatch = batch.missingReason.empty();
  const KnownAxes known{.hasBatch = hasBatch,
                        .batch = batch.symbols,
                        .sequence = InferSequenceAxes(inputs, hasBatch, options),
                        .varying = VaryingSymbols(inputs, hasBatch, false)};
  if (hasBatch) batch.missingReason = RowObstacle(inputs, outputs, batch.symbols, known.varying);

  Signature signature;
  signature.inputs = Specs(inputs, known, false);
  signature.outputs = Specs(outputs, known, true);
  signature.hasBatchAxis = hasBatch;
  signature.sequenceAxes = static_cast<int>(known.sequence.size());
  if (options.mergeRows == MergeRows::kNever) {
    signature.coalesceReason = "model.yaml says mergeRows: never";
  } else if (!batch.missingReason.empty()) {
    signature.coalesceReason = batch.missingReason;
  } else {
    signature.coalesceReason = PaddingObstacle(inputs, known, options);
    signature.coalesce = signature.coalesceReason.empty() ? CoalesceMode::kPadded : CoalesceMode::kEqualLength;
  }
  return signature;
}

void MarkRows(Signature& signature) {
  for (TensorSpec& output : signature.outputs) output.axes[0] = Axis::kBatch;
}

bool IsMaskName(std::string_view inputName) { return Lower(std::string(inputName)).find("mask") != std::string::npos; }

std::string_view DatatypeName(ElementType type) {
  switch (type) {
    case ElementType::kFloat32:
      return "FP32";
    case ElementType::kUint8:
      return "UINT8";
    case ElementType::kInt8:
      return "INT8";
    case ElementType::kUint16:
      return "UINT16";
    case ElementType::kInt16:
      return "INT16";
    case ElementType::kInt32:
      return "INT32";
    case ElementType::kInt64:
      return "INT64";
    case ElementType::kString:
      return "BYTES";
    case ElementType::kBool:
      return "BOOL";
    case ElementType::kFloat16:
      return "FP16";
    case ElementType::kFloat64:
      return "FP64";
    case ElementType::kUint32:
      return "UINT32";
    case ElementType::kUint64:
      return "UINT64";
    case ElementType::kBfloat16:
      return "BF16";
  }
  return "";
}

}  // namespace interleave
