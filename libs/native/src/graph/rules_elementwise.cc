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

using Function = Number (*)(const Number&, const Number&);

// As the element type computes it; only a product may be right as a size alone.
Number Computed(Function function, const Number& a, const Number& b, int type, int outType) {
  const Number left = Held(a, type), right = Held(b, type);
  if ((left.rough || right.rough) && function != Multiply) return Opaque(a, b);
  return Held(function(left, right), outType);
}

template <Function function, int resultType = 0>
void Binary(Call& call) {
  Elementwise(call);
  if (call.size() != 2 || !call.In(0).numbers || !call.In(1).numbers || !call.outputs()[0]) return;
  Value& out = *call.outputs()[0];
  const int type = call.In(0).type;
  out.type = resultType != 0 ? resultType : type;
  if (!HoldsNumbers(out.dims)) return;
  const auto left = BroadcastSources(out.dims, call.In(0).dims);
  const auto right = BroadcastSources(out.dims, call.In(1).dims);
  out.numbers.emplace();
  for (std::size_t i = 0; i < left.size(); ++i) {
    out.numbers->push_back(
        Computed(function, (*call.In(0).numbers)[left[i]], (*call.In(1).numbers)[right[i]], type, out.type));
  }
}

Number DivideIntegers(const Number& a, const Number& b) { return Divide(a, b, true); }
Number DivideFloats(const Number& a, const Number& b) { return Divide(a, b, false); }
void Div(Call& call) { IsIntegerType(call.In(0).type) ? Binary<DivideIntegers>(call) : Binary<DivideFloats>(call); }

Number FloorRest(const Number& a, const Number& b) { return Modulo(a, b, false); }
Number TruncatedRest(const Number& a, const Number& b) { return Modulo(a, b, true); }
void Mod(Call& call) { call.Int("fmod", 0) == 0 ? Binary<FloorRest>(call) : Binary<TruncatedRest>(call); }

Number Not(const Number& a) { return Equal(a, {.value = 0}); }
Number Greater(const Number& a, const Number& b) { return Less(b, a); }
Number GreaterOrEqual(const Number& a, const Number& b) { return Not(Less(a, b)); }
Number LessOrEqual(const Number& a, const Number& b) { return Not(Less(b, a)); }
Number And(const Number& a, const Number& b) {
  const bool isFalse = (a.IsFixed() && a.value == 0) || (b.IsFixed() && b.value == 0);
  return isFalse ? Number{} : a.IsFixed() && b.IsFixed() ? Number{.value = 1} : Opaque(a, b);
}
Number Or(const Number& a, const Number& b) { return Not(And(Not(a), Not(b))); }

template <bool (*first)(double, double)>
Number Extreme(const Number& a, const Number& b) {
  if (a.rows == b.rows && !a.opaque && !b.opaque) {
    Number extreme = first(a.value, b.value) ? a : b;
    extreme.varies = a.varies || b.varies;
    extreme.least = first(a.Least(), b.Least()) ? a.Least() : b.Least();
    if (!SameForAll(a, b)) ForgetAxes(extreme);
    return extreme;
  }
  const Number less = Less(a, b);
  if (less.opaque) return Opaque(a, b);
  return first(0, 1) == (less.value != 0) ? a : b;
}
bool IsBelow(double a, double b) { return a < b; }
bool IsAbove(double a, double b) { return a > b; }

// A change of type may keep what is right as a size alone.
void MapNumbers(Call& call, Number (*function)(const Number&), bool keepsRough = false) {
  if (!call.In(0).numbers || !call.outputs()[0]) return;
  Value& out = *call.outputs()[0];
  Numbers numbers;
  for (const Number& number : *call.In(0).numbers) {
    const Number held = Held(number, call.In(0).type);
    numbers.push_back(held.rough && !keepsRough ? Opaque(held, held) : Held(function(held), out.type));
  }
  out.numbers = std::move(numbers);
}

Number Same(const Number& a) { return a; }
Number Negated(const Number& a) { return Multiply(a, {.value = -1}); }
Number Absolute(const Number& a) {
  if (a.Least() >= 0) return a;
  return a.IsFixed() ? Number{.value = std::fabs(a.value)} : Opaque(a, a);
}
Number Floored(const Number& a) {
  return Rounded(a, [](double x) { return std::floor(x); });
}
Number Ceiled(const Number& a) {
  return Rounded(a, [](double x) { return std::ceil(x); });
}
Number Truncated(const Number& a) {
  return Rounded(a, [](double x) { return std::trunc(x); });
}
Number Root(const Number& a) {
  return a.IsFixed() && a.value >= 0 ? Number{.value = std::sqrt(a.value)} : Opaque(a, a);
}

void Stretch(std::optional<Place>& place, const Numbers& by) {
  const Number factor = Held(by.front(), kInt64);
  const bool isOne =
      std::all_of(by.begin(), by.end(), [&](const Number& number) { return SameForAll(number, factor); });
  const bool isStep =
      isOne && !factor.rows && !factor.opaque && !factor.rough && factor.Least() >= 0 && factor.value > 0;
  if (!isStep || place->low != 0 || place->high != 0 || place->below != 0) return place.reset();
  place->stride = Multiply(place->stride, factor);
}

void Shift(std::optional<Place>& place, const Numbers& by) {
  const std::uint32_t below = by.front().below;
  double low = by.front().value, high = low;
  for (const Number& given : by) {
    const Number number = Held(given, kInt64);
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

void Identity(Call& call) {
  SameAsFirst(call);
  call.outputs()[0]->numbers = call.In(0).numbers;
}

template <Number (*function)(const Number&)>
void Unary(Call& call) {
  SameAsFirst(call);
  MapNumbers(call, function);
}

// Rows of floats that become integers of this type.
void CheckCast(Call& call, int to) {
  // ONNX Runtime 1.30 gives other numbers for those that UINT32 cannot hold at the end of a tensor than before it.
  const bool mayBeUint32 = to == kUint32 || to == 0;
  if (mayBeUint32 && call.Rows(0) >= 0 && !IsIntegerType(call.In(0).type))
    call.Mixed("may turn numbers into others by their place in a run");
}

void Cast(Call& call) {
  SameAsFirst(call);
  const int to = static_cast<int>(call.Int("to", 0));
  CheckCast(call, to);
  Value& out = *call.outputs()[0];
  out.type = to;
  if (to == kBool) return MapNumbers(call, [](const Number& a) { return Not(Not(a)); });
  // Other types cannot hold every place, or not exactly.
  if (to == kInt32 || to == kInt64) out.place = SamePlace(call.In(0), out);
  MapNumbers(call, IsIntegerType(to) ? Truncated : Same, true);
}

void CastLike(Call& call) {
  const int to = call.In(1).type;
  CheckCast(call, to);
  call.Out(Shaped(call.In(0).dims, to));
}

void Where(Call& call) {
  Value out = Shaped(Broadcast(call, ShapesOf(call)), call.In(1).type);
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
  const bool trains = call.Has(2) && !(call.Raw(2)->numbers && call.Raw(2)->numbers->size() == 1 &&
                                       call.Raw(2)->numbers->front().Is(0));
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
  call.Out(Shaped(call.In(0).dims, call.In(0).type));
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
  call.Out(Shaped(call.In(0).dims, call.In(0).type));
}

void Elementwise(Call& call) {
  if (call.Find("broadcast") != nullptr) call.Unproven("is of an operator set that is no longer followed");
  call.Out(Shaped(Broadcast(call, ShapesOf(call)), call.In(0).type));
}

void AddElementwiseRules(Rules& rules) {
  for (const char* op : {"Acos",
                         "Acosh",
                         "Asin",
                         "Asinh",
                         "Atan",
                         "Atanh",
                         "BitwiseNot",
                         "Celu",
                         "Cos",
                         "Cosh",
                         "Elu",
                         "Erf",
                         "Exp",
                         "Gelu",
                         "HardSigmoid",
                         "HardSwish",
                         "IsInf",
                         "IsNaN",
                         "LeakyRelu",
                         "Log",
                         "Mish",
                         "Reciprocal",
                         "Relu",
                         "Round",
                         "Selu",
                         "Shrink",
                         "Sigmoid",
                         "Sign",
                         "Sin",
                         "Sinh",
                         "Softplus",
                         "Softsign",
                         "Swish",
                         "Tan",
                         "Tanh",
                         "ThresholdedRelu",
                         "RegexFullMatch",
                         "Clip",
                         "ImageScaler",
                         "Affine",
                         "ParametricSoftplus",
                         "ScaledTanh"}) {
    rules[op] = SameAsFirst;
  }
  for (const char* op :
       {"BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Mean", "Pow", "PRelu", "Sum", "Xor", "StringConcat"}) {
    rules[op] = Elementwise;
  }
  for (const char* op :
       {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"}) {
    rules[op] = Random;
  }
  rules["CastLike"] = CastLike;
  rules["Add"] = Sum;
  rules["Sub"] = Binary<Subtract>;
  rules["Mul"] = Mul;
  rules["Div"] = Div;
  rules["Mod"] = Mod;
  rules["Equal"] = Binary<Equal, kBool>;
  rules["Less"] = Binary<Less, kBool>;
  rules["Greater"] = Binary<Greater, kBool>;
  rules["GreaterOrEqual"] = Binary<GreaterOrEqual, kBool>;
  rules["LessOrEqual"] = Binary<LessOrEqual, kBool>;
  rules["And"] = Binary<And, kBool>;
  rules["Or"] = Binary<Or, kBool>;
  rules["Max"] = Binary<Extreme<IsAbove>>;
  rules["Min"] = Binary<Extreme<IsBelow>>;
  rules["Identity"] = Identity;
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
