#include <algorithm>
#include <cmath>

#include "graph/rules.h"

namespace interleave::graph {
namespace {

std::vector<const Numbers*> ShapesOf(const Call& call) {
  std::vector<const Numbers*> shapes;
  for (std::size_t i = 0; i < call.size(); ++i) {
    if (call.Has(i)) shapes.push_back(&call.In(i).dims);
  }
  return shapes;
}

template <Number (*function)(const Number&, const Number&)>
void Binary(Call& call) {
  Elementwise(call);
  if (call.size() != 2 || !call.In(0).numbers || !call.In(1).numbers || !call.outputs()[0]) return;
  Value& out = *call.outputs()[0];
  if (!HoldsNumbers(out.dims)) return;
  const auto left = BroadcastSources(out.dims, call.In(0).dims);
  const auto right = BroadcastSources(out.dims, call.In(1).dims);
  out.numbers.emplace();
  for (std::size_t i = 0; i < left.size(); ++i) {
    out.numbers->push_back(function((*call.In(0).numbers)[left[i]], (*call.In(1).numbers)[right[i]]));
  }
}

Number DivideIntegers(const Number& a, const Number& b) { return Divide(a, b, true); }
Number DivideFloats(const Number& a, const Number& b) { return Divide(a, b, false); }
void Div(Call& call) { call.In(0).isInteger ? Binary<DivideIntegers>(call) : Binary<DivideFloats>(call); }

Number Not(const Number& a) { return Equal(a, {.value = 0}); }
Number Greater(const Number& a, const Number& b) { return Less(b, a); }
Number GreaterOrEqual(const Number& a, const Number& b) { return Not(Less(a, b)); }
Number LessOrEqual(const Number& a, const Number& b) { return Not(Less(b, a)); }
Number And(const Number& a, const Number& b) { return Not(Equal(Multiply(a, b), {.value = 0})); }
Number Or(const Number& a, const Number& b) { return Not(And(Not(a), Not(b))); }

template <bool (*first)(double, double)>
Number Extreme(const Number& a, const Number& b) {
  if (a.rows == b.rows && !a.opaque && !b.opaque) {
    Number extreme = first(a.value, b.value) ? a : b;
    extreme.varies = a.varies || b.varies;
    extreme.small = extreme.varies;
    if (!SameForAll(a, b)) ForgetAxes(extreme);
    return extreme;
  }
  const Number less = Less(a, b);
  if (less.opaque) return less;
  return first(0, 1) == (less.value != 0) ? a : b;
}
bool IsBelow(double a, double b) { return a < b; }
bool IsAbove(double a, double b) { return a > b; }

void MapNumbers(Call& call, Number (*function)(const Number&)) {
  if (!call.In(0).numbers || !call.outputs()[0]) return;
  Numbers numbers;
  for (const Number& number : *call.In(0).numbers) numbers.push_back(function(number));
  call.outputs()[0]->numbers = std::move(numbers);
}

Number Same(const Number& a) { return a; }
Number Negated(const Number& a) { return Multiply(a, {.value = -1}); }
Number Absolute(const Number& a) { return Apply(a, [](double x) { return std::fabs(x); }); }
Number Floored(const Number& a) { return Apply(a, [](double x) { return std::floor(x); }); }
Number Ceiled(const Number& a) { return Apply(a, [](double x) { return std::ceil(x); }); }
Number Truncated(const Number& a) { return Apply(a, [](double x) { return std::trunc(x); }); }
// The root of a number of rows is no multiple of it: its square is opaque, and so is what comes of it.
Number Root(const Number& a) {
  return Apply(Multiply(a, a), [](double x) { return std::sqrt(std::sqrt(x)); });
}

void Stretch(std::optional<Place>& place, const Numbers& by) {
  const Number& factor = by.front();
  const bool isOne = std::all_of(by.begin(), by.end(), [&](const Number& number) { return SameForAll(number, factor); });
  if (!isOne || factor.rows || factor.value <= 0 || place->low != 0 || place->high != 0 || place->below != 0) return place.reset();
  place->stride = Multiply(place->stride, factor);
}

void Shift(std::optional<Place>& place, const Numbers& by) {
  const std::uint32_t below = by.front().below;
  double low = by.front().value, high = low;
  for (const Number& number : by) {
    if (number.rows || number.opaque || number.below != below || (number.varies && below == 0)) return place.reset();
    low = std::min(low, number.value);
    high = std::max(high, number.value);
  }
  const bool isShifted = place->low != 0 || place->high != 0 || place->below != 0;
  if (place->below != 0 || (below != 0 && isShifted)) return place.reset();
  place->below = below;
  if (below != 0) return;
  place->low += low;
  place->high += high;
}

// A row's place after arithmetic with a number that is the same for all rows.
void MovePlace(Call& call, bool multiplies) {
  if (call.size() != 2) return;
  const std::size_t at = call.In(0).place ? 0 : 1;
  const Value &placed = call.In(at), &other = call.In(1 - at);
  Value& out = *call.outputs()[0];
  out.place = SamePlace(placed, out);
  if (!out.place || !other.numbers || other.numbers->empty()) return out.place.reset();
  multiplies ? Stretch(out.place, *other.numbers) : Shift(out.place, *other.numbers);
}

void Sum(Call& call) {
  Binary<Add>(call);
  MovePlace(call, false);
}

void Mul(Call& call) {
  Binary<Multiply>(call);
  MovePlace(call, true);
}

template <Number (*function)(const Number&)>
void Unary(Call& call) {
  SameAsFirst(call);
  MapNumbers(call, function);
}

// 8 and 16 bits cannot hold every size or place.
bool IsNarrowType(std::int64_t type) { return (type >= 2 && type <= 5) || type == 10 || type >= 16; }
Number Narrowed(const Number& a) {
  constexpr double kHeldByAll = 7;
  if (a.IsFixed() && a.value >= 0 && a.value <= kHeldByAll) return a;
  return {.rows = a.rows, .varies = true, .opaque = true};
}

void Cast(Call& call) {
  SameAsFirst(call);
  const std::int64_t to = call.Int("to", 0);
  call.outputs()[0]->isInteger = IsIntegerType(to);
  constexpr std::int64_t kBoolType = 9;
  if (to == kBoolType) return MapNumbers(call, [](const Number& a) { return Not(Not(a)); });
  if (IsNarrowType(to)) return MapNumbers(call, Narrowed);
  call.outputs()[0]->place = SamePlace(call.In(0), *call.outputs()[0]);
  if (IsIntegerType(to)) MapNumbers(call, Truncated);
  else MapNumbers(call, Same);
}

void Where(Call& call) {
  Value out = Shaped(Broadcast(call, ShapesOf(call)), call.In(1).isInteger);
  const Value &condition = call.In(0), &yes = call.In(1), &no = call.In(2);
  if (condition.numbers && yes.numbers && no.numbers && HoldsNumbers(out.dims)) {
    const auto c = BroadcastSources(out.dims, condition.dims);
    const auto y = BroadcastSources(out.dims, yes.dims);
    const auto n = BroadcastSources(out.dims, no.dims);
    out.numbers.emplace();
    for (std::size_t i = 0; i < c.size(); ++i) {
      out.numbers->push_back(Choose((*condition.numbers)[c[i]], (*yes.numbers)[y[i]], (*no.numbers)[n[i]]));
    }
  }
  call.Out(std::move(out));
}

void Dropout(Call& call) {
  const bool trains = call.Has(2) && !(call.Raw(2)->numbers && call.Raw(2)->numbers->size() == 1 && call.Raw(2)->numbers->front().Is(0));
  if (trains || (call.opset() < 7 && call.Int("is_test", 0) == 0)) call.Mixed("draws random numbers");
  call.Out(0, Shaped(call.In(0).dims));
  call.Out(1, Shaped(call.In(0).dims));
}

void Random(Call& call) { call.Mixed("draws random numbers"); }

// Scale and zero point belong to the whole tensor or to one of its axes; either way they are the same for all rows.
void Quantize(Call& call) {
  const int rows = call.Rows(0);
  for (std::size_t i = 1; i < call.size(); ++i) {
    if (call.Has(i) && call.In(i).HasRows()) call.Mixed("scales by a number that depends on the rows");
    const bool isPerAxis = call.Has(i) && !call.In(i).dims.empty() && !Product(call.In(i).dims).Is(1);
    if (isPerAxis && rows >= 0 && rows == static_cast<int>(call.Axis(call.Int("axis", 1), call.In(0).dims.size()))) {
      call.Unproven("scales each row by another number");
    }
  }
  call.Out(Shaped(call.In(0).dims));
}

void DynamicQuantize(Call& call) {
  if (call.AnyRows()) call.Mixed("scales by the largest value of all rows together");
}

// Keeps a triangle of the last two axes.
void Trilu(Call& call) {
  const int rank = static_cast<int>(call.In(0).dims.size());
  if (call.Rows(0) >= rank - 2 && call.Rows(0) >= 0) call.Mixed("depends on a row's place in the batch");
  if (call.Has(1)) call.Sizes(1);
  call.Out(Shaped(call.In(0).dims, call.In(0).isInteger));
}

}  // namespace

std::vector<std::size_t> BroadcastSources(const Numbers& dims, const Numbers& from) {
  std::vector<std::size_t> sources{0};
  if (Product(dims).Is(0)) return {};
  for (std::size_t i = 0; i < dims.size(); ++i) {
    const auto size = static_cast<std::size_t>(dims[i].value);
    const std::size_t skipped = dims.size() - from.size();
    const std::size_t own = i < skipped ? 1 : static_cast<std::size_t>(from[i - skipped].value);
    std::vector<std::size_t> next;
    for (const std::size_t source : sources) {
      for (std::size_t k = 0; k < size; ++k) next.push_back(source * own + (own == 1 ? 0 : k));
    }
    sources = std::move(next);
  }
  return sources;
}

void SameAsFirst(Call& call) {
  call.Constant(1, call.size());
  call.Out(Shaped(call.In(0).dims, call.In(0).isInteger));
}

void Elementwise(Call& call) {
  if (call.Find("broadcast") != nullptr) call.Unproven("is of an operator set that is no longer followed");
  call.Out(Shaped(Broadcast(call, ShapesOf(call)), call.In(0).isInteger));
}

void AddElementwiseRules(Rules& rules) {
  for (const char* op :
       {"Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BitwiseNot", "Celu", "Cos", "Cosh", "Elu", "Erf", "Exp", "Gelu",
        "HardSigmoid", "HardSwish", "IsInf", "IsNaN", "LeakyRelu", "Log", "Mish", "Reciprocal", "Relu", "Round", "Selu", "Shrink",
        "Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Softsign", "Swish", "Tan", "Tanh", "ThresholdedRelu", "CastLike",
        "RegexFullMatch", "Clip", "ImageScaler", "Affine", "ParametricSoftplus", "ScaledTanh"}) {
    rules[op] = SameAsFirst;
  }
  for (const char* op : {"BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Mean", "Pow", "PRelu", "Sum", "Xor", "StringConcat"}) {
    rules[op] = Elementwise;
  }
  for (const char* op : {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"}) {
    rules[op] = Random;
  }
  rules["Add"] = Sum;
  rules["Sub"] = Binary<Subtract>;
  rules["Mul"] = Mul;
  rules["Div"] = Div;
  rules["Mod"] = Binary<Modulo>;
  rules["Equal"] = Binary<Equal>;
  rules["Less"] = Binary<Less>;
  rules["Greater"] = Binary<Greater>;
  rules["GreaterOrEqual"] = Binary<GreaterOrEqual>;
  rules["LessOrEqual"] = Binary<LessOrEqual>;
  rules["And"] = Binary<And>;
  rules["Or"] = Binary<Or>;
  rules["Max"] = Binary<Extreme<IsAbove>>;
  rules["Min"] = Binary<Extreme<IsBelow>>;
  rules["Identity"] = Unary<Same>;
  rules["Neg"] = Unary<Negated>;
  rules["Not"] = Unary<Not>;
  rules["Abs"] = Unary<Absolute>;
  rules["Floor"] = Unary<Floored>;
  rules["Ceil"] = Unary<Ceiled>;
  rules["Sqrt"] = Unary<Root>;
  rules["Cast"] = Cast;
  rules["Where"] = Where;
  rules["Dropout"] = Dropout;
  rules["QuantizeLinear"] = Quantize;
  rules["DequantizeLinear"] = Quantize;
  rules["DynamicQuantizeLinear"] = DynamicQuantize;
  rules["Trilu"] = Trilu;
}

}  // namespace interleave::graph
