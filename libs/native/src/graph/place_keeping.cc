#include "graph/place_keeping.h"

#include <algorithm>
#include <unordered_set>

namespace interleave::graph {
namespace {

bool IsLong(const Number& dim) { return dim.varies && !dim.rows; }
std::ptrdiff_t LongAxes(const Value& value) {
  return std::count_if(value.dims.begin(), value.dims.end(), [](const Number& dim) { return IsLong(dim); });
}
bool IsLong(const Value& value) { return !value.hasShape || LongAxes(value) > 0; }

bool IsFixedAndNotNegative(const Number& number) { return number.IsFixed() && number.value >= 0; }

// Entry by entry, or in another order of axes.
bool IsPlain(const Node& node) {
  static const std::unordered_set<std::string_view> plain{"Abs",
                                                          "Acos",
                                                          "Acosh",
                                                          "Add",
                                                          "And",
                                                          "Asin",
                                                          "Asinh",
                                                          "Atan",
                                                          "Atanh",
                                                          "BitShift",
                                                          "BitwiseAnd",
                                                          "BitwiseNot",
                                                          "BitwiseOr",
                                                          "BitwiseXor",
                                                          "Cast",
                                                          "CastLike",
                                                          "Ceil",
                                                          "Celu",
                                                          "Clip",
                                                          "Constant",
                                                          "ConstantOfShape",
                                                          "Cos",
                                                          "Cosh",
                                                          "DequantizeLinear",
                                                          "Div",
                                                          "Dropout",
                                                          "Elu",
                                                          "Equal",
                                                          "Erf",
                                                          "Exp",
                                                          "Expand",
                                                          "Floor",
                                                          "Gelu",
                                                          "Greater",
                                                          "GreaterOrEqual",
                                                          "HardSigmoid",
                                                          "HardSwish",
                                                          "Identity",
                                                          "IsInf",
                                                          "IsNaN",
                                                          "LeakyRelu",
                                                          "Less",
                                                          "LessOrEqual",
                                                          "Log",
                                                          "Max",
                                                          "Mean",
                                                          "Min",
                                                          "Mish",
                                                          "Mod",
                                                          "Mul",
                                                          "Neg",
                                                          "NonZero",
                                                          "Not",
                                                          "Or",
                                                          "PRelu",
                                                          "Pow",
                                                          "QuantizeLinear",
                                                          "Reciprocal",
                                                          "Relu",
                                                          "Round",
                                                          "Selu",
                                                          "Shape",
                                                          "Sigmoid",
                                                          "Sign",
                                                          "Sin",
                                                          "Sinh",
                                                          "Size",
                                                          "Softplus",
                                                          "Softsign",
                                                          "Sqrt",
                                                          "Squeeze",
                                                          "Sub",
                                                          "Sum",
                                                          "Tan",
                                                          "Tanh",
                                                          "Transpose",
                                                          "Unsqueeze",
                                                          "Where",
                                                          "Xor"};
  return node.domain.empty() && plain.contains(node.op);
}

// Positions count from a place that does not depend on the length.
bool CountsFromFixed(const Call& call) {
  const auto isFixed = [&](std::size_t i) {
    const Value* value = call.Raw(i);
    return value != nullptr && value->numbers && value->numbers->size() == 1 && value->numbers->front().IsFixed();
  };
  return isFixed(0) && isFixed(2);
}

bool AllNumbers(const Value* value, bool (*predicate)(const Number&)) {
  return value != nullptr && value->numbers && std::all_of(value->numbers->begin(), value->numbers->end(), predicate);
}

// Old operator sets have starts and ends as attributes.
bool SlicesFromStart(const Call& call) {
  if (call.opset() < 10) {
    const auto starts = call.Ints("starts");
    return starts && std::all_of(starts->begin(), starts->end(), [](std::int64_t start) { return start >= 0; });
  }
  if (call.Has(4) && !AllNumbers(call.Raw(4), [](const Number& step) { return step.IsFixed() && step.value > 0; }))
    return false;
  const auto isFixed = [](const Number& start) { return start.IsFixed(); };
  return AllNumbers(call.Raw(1), IsLong(call.In(0)) ? IsFixedAndNotNegative : +isFixed);
}

bool GathersFromStart(const Call& call) {
  const Value& data = call.In(0);
  if (!IsLong(data.dims[call.Axis(call.Int("axis", 0), data.dims.size())])) return true;
  return AllNumbers(call.Raw(1), [](const Number& index) { return !index.opaque && index.value >= 0; });
}

// Nothing lies behind what grows.
bool GrowsAtEnd(const Call& call) {
  const auto axis = call.Axis(call.Int("axis", 1), call.In(0).dims.size());
  for (std::size_t i = 0; i + 1 < call.size(); ++i) {
    if (IsLong(call.In(i).dims[axis])) return false;
  }
  return true;
}

// The axes but those of length 1 are what they were.
bool KeepsAxes(const Call& call, const Value& out) {
  const auto axesOf = [](const Value& value) {
    Numbers axes;
    std::copy_if(value.dims.begin(), value.dims.end(), std::back_inserter(axes),
                 [](const Number& dim) { return !dim.Is(1); });
    return axes;
  };
  const Numbers from = axesOf(call.In(0)), to = axesOf(out);
  return std::equal(from.begin(), from.end(), to.begin(), to.end(), SameForAll);
}

}  // namespace

bool KeepsPlaces(Call& call) {
  const Node& node = call.node();
  if (IsPlain(node)) return true;
  if (!node.domain.empty() || !call.outputs()[0] || !call.outputs()[0]->hasShape) return false;
  const Value& out = *call.outputs()[0];
  if (node.op == "Range") return CountsFromFixed(call);
  if (node.op == "Slice") return SlicesFromStart(call);
  if (node.op == "Gather" || node.op == "GatherElements") return GathersFromStart(call);
  if (node.op == "Concat") return GrowsAtEnd(call);
  if (node.op == "Reshape" || node.op == "Flatten" || node.op == "Tile") return KeepsAxes(call, out);
  if (node.op == "MatMul") return !call.In(0).dims.empty() && !IsLong(call.In(0).dims.back());
  if (node.op == "Trilu") return !call.Has(1) || AllNumbers(call.Raw(1), [](const Number& k) { return k.IsFixed(); });
  if (node.op == "CumSum") return call.Int("reverse", 0) == 0;
  if (node.op.starts_with("Reduce")) return LongAxes(out) == LongAxes(call.In(0));
  return false;
}

}  // namespace interleave::graph
