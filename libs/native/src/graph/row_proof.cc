#include "graph/row_proof.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <map>
#include <unordered_set>

#include "graph/interpreter.h"
#include "graph/rules.h"

namespace interleave::graph {
namespace {

// Examples for the sizes of axes that vary, other than the batch: dimension number k is `first + k * step` long. Some
// models want multiples of 32, some are short, some want two axes to be equal under different names, some serve one
// size of image only. A proof holds when it holds for both examples of a family.
struct Example {
  double first, step;
};
constexpr std::array<std::array<Example, 2>, 7> kFamilies{{
    {{{64, 32}, {160, 32}}},
    {{{11, 2}, {14, 3}}},
    {{{64, 0}, {96, 0}}},
    {{{11, 0}, {14, 0}}},
    {{{48, 112}, {48, 272}}},
    {{{224, 0}, {224, 0}}},
    {{{640, 0}, {640, 0}}},
}};

// What is known of the inputs beside the file.
struct Facts {
  const EqualAxes& equal;
  const PaddedInputs& padded;
};

Padding PaddingOf(std::string_view name, const PaddedInputs& padded) {
  if (const auto mask = padded.masks.find(name); mask != padded.masks.end()) {
    return {.kind = Padding::Kind::kMask, .hidden = {mask->second, mask->second}, .shown = {1, 1}};
  }
  if (const auto ids = padded.ids.find(name); ids != padded.ids.end()) {
    return {.kind = Padding::Kind::kIds, .input = ids->first, .hidden = {ids->second, ids->second}};
  }
  return {.kind = Padding::Kind::kData};
}

// The number of EqualAxis; absent: the axis may have any size.
std::optional<int> NumberOf(const EqualAxes& equal, std::string_view input, std::size_t axis) {
  const auto found =
      std::find_if(equal.begin(), equal.end(), [&](const EqualAxis& e) { return e.axis == axis && e.input == input; });
  return found == equal.end() ? std::nullopt : std::optional(found->number);
}

std::unordered_map<std::string_view, Value> InputsOf(const Model& model, const Facts& facts, const Example& example) {
  std::unordered_set<std::string_view> constants;
  for (const Tensor& tensor : model.graph.initializers) constants.insert(tensor.name);
  std::map<int, Number> sizes;
  double next = example.first;
  std::uint32_t axesCount = 0;
  std::unordered_map<std::string_view, Value> inputs;
  for (const Declared& declared : model.graph.inputs) {
    if (constants.contains(declared.name)) continue;
    if (!declared.hasShape || declared.dims.empty()) {
      throw NoProof{false, "input \"" + std::string(declared.name) + "\" has no batch axis"};
    }
    Value value = Shaped({{.value = 1, .rows = true}}, declared.type);
    for (std::size_t i = 1; i < declared.dims.size(); ++i) {
      if (declared.dims[i] >= 0) {
        value.dims.push_back({.value = static_cast<double>(declared.dims[i])});
        continue;
      }
      const std::optional<int> number = NumberOf(facts.equal, declared.name, i);
      if (number && sizes.contains(*number)) {
        value.dims.push_back(sizes[*number]);
        continue;
      }
      value.dims.push_back(AxisSize(next, ++axesCount));
      if (number) sizes[*number] = value.dims.back();
      next += example.step;
    }
    value.padding = PaddingOf(declared.name, facts.padded);
    inputs.emplace(declared.name, std::move(value));
  }
  return inputs;
}

void AddExtremeRows(const Tensor& table, std::vector<std::int64_t>& ids) {
  constexpr int kFloatType = 1;
  if (table.type != kFloatType || table.dims.size() != 2 || table.dims[0] < 1 || table.dims[1] < 1) return;
  const auto width = static_cast<std::size_t>(table.dims[1]);
  const std::size_t count = table.raw.size() / sizeof(float);
  if (count / width != static_cast<std::size_t>(table.dims[0])) return;
  std::size_t largest = 0, smallest = 0;
  float high = -std::numeric_limits<float>::infinity(), low = -high;
  for (std::size_t i = 0; i < count; ++i) {
    float value = 0;
    std::memcpy(&value, table.raw.data() + i * sizeof(value), sizeof(value));
    if (value > high) high = value, largest = i / width;
    if (value < low) low = value, smallest = i / width;
  }
  ids.push_back(static_cast<std::int64_t>(largest));
  ids.push_back(static_cast<std::int64_t>(smallest));
}

void FindExtremeIds(const Model& model, const PaddingUse& use, RowProof& proof) {
  for (const auto& [input, table] : use.lookups) {
    const auto found = std::find_if(model.graph.initializers.begin(), model.graph.initializers.end(),
                                    [&table = table](const Tensor& tensor) { return tensor.name == table; });
    if (found != model.graph.initializers.end()) AddExtremeRows(*found, proof.extremeIds[std::string(input)]);
  }
}

// Fills RowProof::lengthUse and RowProof::paddingUse.
void Prove(const Model& model, const Facts& facts, const Example& example, RowProof& proof) {
  Interpreter interpreter(model);
  const std::vector<Value> outputs = interpreter.Run(InputsOf(model, facts, example));
  if (outputs.empty()) throw NoProof{false, "the file is damaged or no ONNX model"};
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const std::string what = "output \"" + std::string(model.graph.outputs[i].name) + "\" ";
    const Value& value = outputs[i];
    if (value.unfollowed) throw NoProof{false, what + "depends on the rows in a way that is not followed"};
    if (value.RowAxis() != 0 || !IsOne(value.dims[0]))
      throw NoProof{false, what + "does not have one entry for each row"};
    if (value.IsCounted()) throw NoProof{true, what + "depends on the number of rows or a row's place among them"};
  }
  if (!interpreter.lengthUse().empty()) proof.lengthUse = interpreter.lengthUse();
  if (!interpreter.paddingUse().reason.empty()) proof.paddingUse = interpreter.paddingUse().reason;
  if (proof.extremeIds.empty()) FindExtremeIds(model, interpreter.paddingUse(), proof);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (!outputs[i].IsLengthy()) continue;
    proof.lengthUse =
        "output \"" + std::string(model.graph.outputs[i].name) + "\" depends on the length that rows are padded to";
  }
}

RowProof ProveModel(const Model& model, const Facts& facts) {
  RowProof first;
  for (const auto& family : kFamilies) {
    try {
      RowProof proof{.verdict = RowVerdict::kIndependent, .reason = ""};
      for (const Example& example : family) Prove(model, facts, example, proof);
      return proof;
    } catch (NoProof& proof) {
      if (proof.mixed) return {.verdict = RowVerdict::kMixed, .reason = std::move(proof.reason)};
      if (first.reason.empty()) first.reason = std::move(proof.reason);
    }
  }
  return first;
}

Rules Built(void (*add)(Rules&)) {
  Rules rules;
  add(rules);
  return rules;
}

void AddAll(Rules& rules) {
  AddElementwiseRules(rules);
  AddShapeRules(rules);
  AddIndexRules(rules);
  AddReductionRules(rules);
  AddLinearRules(rules);
  AddImageRules(rules);
  AddRecurrentRules(rules);
}

}  // namespace

Rule FindRule(std::string_view domain, std::string_view op) {
  static const Rules standard = Built(AddAll);
  static const Rules tables = Built(AddTableRules);
  if (domain.empty()) {
    const auto found = standard.find(op);
    return found == standard.end() ? nullptr : found->second;
  }
  static const Rules contrib = Built(AddContribRules);
  if (domain != "ai.onnx.ml" && domain != "com.microsoft") return nullptr;
  const Rules& rules = domain == "com.microsoft" ? contrib : tables;
  const auto found = rules.find(op);
  return found == rules.end() ? nullptr : found->second;
}

RowProof ProveRows(std::string_view model, const EqualAxes& equal, const PaddedInputs& padded) {
  try {
    return ProveModel(ReadModel(model), {.equal = equal, .padded = padded});
  } catch (const NoProof& proof) {
    return {.verdict = RowVerdict::kNotProven, .reason = proof.reason};
  } catch (const std::exception& error) {
    return {.verdict = RowVerdict::kNotProven, .reason = error.what()};
  }
}

RowProof ProveRowsOfFile(const std::string& path, const EqualAxes& equal, const PaddedInputs& padded) {
  const RowProof unread{.verdict = RowVerdict::kNotProven, .reason = "the file cannot be read for a proof"};
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return unread;
  struct stat status {};
  const bool isFile = fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0;
  const auto size = static_cast<std::size_t>(isFile ? status.st_size : 0);
  void* const bytes = isFile ? mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
  close(fd);
  if (bytes == MAP_FAILED) return unread;
  RowProof proof = ProveRows({static_cast<const char*>(bytes), size}, equal, padded);
  munmap(bytes, size);
  return proof;
}

}  // namespace interleave::graph
