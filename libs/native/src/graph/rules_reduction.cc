#include <algorithm>

#include "graph/rules.h"

namespace interleave::graph {
namespace {

// All numbers of `from` in one, as its element type computes it.
std::optional<Number> Reduced(std::string_view op, const Value& from) {
  const bool multiplies = op == "ReduceProd";
  if (!multiplies && op != "ReduceSum") return std::nullopt;
  Number all{.value = multiplies ? 1.0 : 0.0};
  for (const Number& number : *from.numbers) {
    const Number held = Held(number, from.type);
    if (held.rough && !multiplies) return Opaque(all, held);
    all = Held(multiplies ? Multiply(all, held) : Add(all, held), from.type);
  }
  // For another size of an axis there are more numbers, or fewer.
  const bool isCounted =
      std::all_of(from.dims.begin(), from.dims.end(), [](const Number& dim) { return dim.IsFixed(); });
  if (!isCounted) all = {.rows = all.rows, .varies = true, .opaque = true};
  return all;
}

// Absent: over all axes. Operators take their axes as an attribute or as input 1.
std::vector<bool> ReducedAxes(Call& call, std::size_t rank) {
  const auto axes = call.Axes(1);
  if (!axes || axes->empty()) return std::vector<bool>(rank, call.Int("noop_with_empty_axes", 0) == 0);
  std::vector<bool> reduced(rank);
  for (const std::int64_t axis : *axes) reduced[call.Axis(axis, rank)] = true;
  return reduced;
}

void Reduce(Call& call) {
  const Value& from = call.In(0);
  const std::vector<bool> reduced = ReducedAxes(call, from.dims.size());
  const bool keeps = call.Int("keepdims", 1) != 0;
  Value out = Shaped({}, from.type);
  for (std::size_t i = 0; i < reduced.size(); ++i) {
    if (!reduced[i]) {
      out.dims.push_back(from.dims[i]);
      continue;
    }
    call.NotAlong(0, i, "goes over the batch axis");
    if (keeps) out.dims.push_back({.value = 1});
  }
  if (from.numbers && Product(out.dims).Is(1)) {
    if (const auto number = Reduced(call.node().op, from)) out.numbers = Numbers{*number};
  }
  call.Out(std::move(out));
}

void ArgReduce(Call& call) {
  Value out = Shaped(call.In(0).dims, kInt64);
  const std::size_t axis = call.Axis(call.Int("axis", 0), out.dims.size());
  call.NotAlong(0, axis, "picks a row of the batch axis");
  if (call.Int("keepdims", 1) != 0)
    out.dims[axis] = {.value = 1};
  else
    out.dims.erase(out.dims.begin() + static_cast<std::ptrdiff_t>(axis));
  call.Out(std::move(out));
}

// From `axis` on all axes are normalised together; outputs after the first hold one number for each.
void LayerNormalization(Call& call) {
  const Value& from = call.In(0);
  const std::size_t axis = call.Axis(call.Int("axis", -1), from.dims.size());
  if (call.Rows(0) >= static_cast<int>(axis)) call.Mixed("normalises over the batch axis");
  call.Constant(1, call.size());
  Numbers means = from.dims;
  std::fill(means.begin() + static_cast<std::ptrdiff_t>(axis), means.end(), Number{.value = 1});
  call.Out(0, Shaped(from.dims));
  for (std::size_t i = 1; i < call.outputsCount(); ++i) call.Out(i, Shaped(means));
}

void LpNormalization(Call& call) {
  const Value& from = call.In(0);
  call.NotAlong(0, call.Axis(call.Int("axis", -1), from.dims.size()), "normalises over the batch axis");
  call.Out(Shaped(from.dims));
}

void MeanVarianceNormalization(Call& call) {
  const Value& from = call.In(0);
  for (const std::int64_t axis : call.Ints("axes").value_or(std::vector<std::int64_t>{0, 2, 3})) {
    call.NotAlong(0, call.Axis(axis, from.dims.size()), "normalises over the batch axis");
  }
  call.Out(Shaped(from.dims));
}

void BatchNormalization(Call& call) {
  const bool trains = call.Int("training_mode", 0) != 0 || (call.opset() < 14 && call.outputsCount() > 1) ||
                      (call.opset() < 7 && call.Int("is_test", 0) == 0);
  if (trains && call.AnyRows()) call.Mixed("is in training mode: it normalises over the batch axis");
  if (call.Int("spatial", 1) == 0) call.Unproven("is of an operator set that is no longer followed");
  call.NotAlong(0, 1, "takes the batch axis for channels");
  SameAsFirst(call);
}

// Per instance (the first axis): over what follows it, for each channel or group of channels.
void InstanceNormalization(Call& call) {
  call.RowsFirst(0, "normalises over the batch axis");
  SameAsFirst(call);
}

void LocalResponse(Call& call) {
  call.NotAlong(0, 1, "normalises over the batch axis");
  call.Out(Shaped(call.In(0).dims));
}

}  // namespace

void Softmax(Call& call) {
  const Value& from = call.In(0);
  const bool flattens = call.opset() < 13 && call.node().domain.empty();
  const std::size_t axis = call.Axis(call.Int("axis", flattens ? 1 : -1), from.dims.size());
  const int rows = call.Rows(0);
  if (rows == static_cast<int>(axis) || (flattens && rows > static_cast<int>(axis)))
    call.Mixed("weighs rows against each other");
  call.Out(Shaped(from.dims));
}

void AddReductionRules(Rules& rules) {
  for (const char* op : {"ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean",
                         "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare"}) {
    rules[op] = Reduce;
  }
  for (const char* op : {"Softmax", "LogSoftmax", "Hardmax"}) rules[op] = Softmax;
  rules["ArgMax"] = ArgReduce;
  rules["ArgMin"] = ArgReduce;
  rules["LayerNormalization"] = LayerNormalization;
  rules["RMSNormalization"] = LayerNormalization;
  rules["SimplifiedLayerNormalization"] = LayerNormalization;
  rules["LpNormalization"] = LpNormalization;
  rules["MeanVarianceNormalization"] = MeanVarianceNormalization;
  rules["BatchNormalization"] = BatchNormalization;
  rules["InstanceNormalization"] = InstanceNormalization;
  rules["GroupNormalization"] = InstanceNormalization;
  rules["LRN"] = LocalResponse;
}

}  // namespace interleave::graph
