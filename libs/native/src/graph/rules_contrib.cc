#include <algorithm>

#include "graph/rules.h"

namespace interleave::graph {
namespace {

constexpr std::string_view kNoFit = "does not fit its input";

// Inputs that hold rows hold them in their first axis, one entry a row.
void RowsFirstEach(const Call& call) {
  for (std::size_t i = 0; i < call.size(); ++i) {
    if (!call.Has(i) || !call.In(i).HasRows()) continue;
    call.RowsFirst(i, "takes the batch axis for another one");
    if (!IsOne(call.In(i).dims[0])) call.Unproven("takes several entries of each row as one batch");
  }
}

void SkipLayerNormalization(Call& call) {
  const Numbers& dims = call.In(0).dims;
  const Numbers sum = Broadcast(call, {&dims, &call.In(1).dims});
  if (dims.empty() || sum.size() != dims.size()) call.Unproven(kNoFit);
  if (sum.back().rows) call.Mixed("normalises over the batch axis");
  call.Constant(2, call.size());
  call.Out(0, Shaped(sum));
  call.Out(3, Shaped(sum));
}

void EmbedLayerNormalization(Call& call) {
  RowsFirstEach(call);
  call.Constant(2, 7);
  Numbers dims = call.In(0).dims;
  if (dims.size() != 2 || call.In(2).dims.size() != 2) call.Unproven(kNoFit);
  call.Out(1, Shaped({dims[0]}, kInt32));
  dims.push_back(call.In(2).dims[1]);
  call.Out(0, Shaped(dims));
  call.Out(2, Shaped(std::move(dims)));
}

void AttentionOf(Call& call, std::size_t past) {
  RowsFirstEach(call);
  call.Constant(1, 3);
  Numbers dims = call.In(0).dims;
  const Numbers& weights = call.In(1).dims;
  if (dims.size() != 3 || weights.size() != 2 || call.Has(past)) call.Unproven("has a form that is not followed");
  dims[2] = Divide(weights[1], {.value = 3}, true);
  if (const auto sizes = call.Ints("qkv_hidden_sizes"); sizes && sizes->size() == 3)
    dims[2] = {.value = static_cast<double>((*sizes)[2])};
  call.Out(0, Shaped(std::move(dims)));
}

void Attention(Call& call) { AttentionOf(call, 4); }
void QAttention(Call& call) {
  call.Constant(3, 5);
  call.Constant(6, 8);
  AttentionOf(call, 8);
}

void MultiHeadAttention(Call& call) {
  RowsFirstEach(call);
  call.Constant(3, 4);
  Numbers dims = call.In(0).dims;
  if (call.Has(6) || call.Has(7) || !call.Has(1) || !call.Has(2) || dims.size() != 3)
    call.Unproven("has a form that is not followed");
  const Numbers& value = call.In(2).dims;
  if (!SameSize(dims[0], call.In(1).dims.at(0)) || !SameSize(dims[0], value.at(0))) call.Unproven(kNoFit);
  if (value.size() == 3)
    dims[2] = value[2];
  else if (value.size() == 4)
    dims[2] = Multiply(value[1], value[3]);
  else
    call.Unproven(kNoFit);
  call.Out(0, Shaped(std::move(dims)));
}

void RotaryEmbedding(Call& call) {
  RowsFirstEach(call);
  call.Constant(2, 4);
  if (call.Int("is_packed_batching", 0) != 0) call.Unproven("has a form that is not followed");
  call.Out(Shaped(call.In(0).dims));
}

void FusedMatMul(Call& call) {
  Numbers a = call.In(0).dims, b = call.In(1).dims;
  if (call.Int("transBatchA", 0) != 0 || call.Int("transBatchB", 0) != 0)
    call.Unproven("has a form that is not followed");
  if (call.Int("transA", 0) != 0 && a.size() > 1) std::swap(a[a.size() - 1], a[a.size() - 2]);
  if (call.Int("transB", 0) != 0 && b.size() > 1) std::swap(b[b.size() - 1], b[b.size() - 2]);
  call.Out(Shaped(MatMulShape(call, a, b)));
}

void MatMulPacked(Call& call) {
  call.Constant(1, call.size());
  Numbers dims = call.In(0).dims;
  if (dims.empty()) call.Unproven(kNoFit);
  call.NotAlong(0, dims.size() - 1, "sums over the batch axis");
  dims.back() = {.value = static_cast<double>(call.Int("N", 0))};
  call.Out(Shaped(std::move(dims)));
}

void DynamicQuantized(Call& call) {
  if (call.AnyRows()) call.Mixed("scales by the largest value of all rows together");
}

// a, its scale and zero point, b, its scale and zero point, those of the result.
void QLinearBinary(Call& call) {
  for (const std::size_t i : {1, 2, 4, 5, 6, 7}) call.Constant(i, i + 1);
  call.Out(Shaped(Broadcast(call, {&call.In(0).dims, &call.In(3).dims})));
}

void QLinearSoftmax(Call& call) {
  call.Constant(1, call.size());
  const Numbers& dims = call.In(0).dims;
  const std::size_t axis = call.Axis(call.Int("axis", -1), dims.size());
  const bool flattens = call.Int("opset", 13) < 13;
  if (call.Rows(0) == static_cast<int>(axis) || (flattens && call.Rows(0) > static_cast<int>(axis))) {
    call.Mixed("weighs rows against each other");
  }
  call.Out(Shaped(dims));
}

void QLinearGlobalAveragePool(Call& call) {
  call.Constant(1, call.size());
  call.RowsFirst(0, "goes over the batch axis");
  Numbers dims = call.In(0).dims;
  const bool channelsLast = call.Int("channels_last", 0) != 0;
  for (std::size_t i = channelsLast ? 1 : 2; i + (channelsLast ? 1 : 0) < dims.size(); ++i) dims[i] = {.value = 1};
  call.Out(Shaped(std::move(dims)));
}

void QGemm(Call& call) {
  for (const std::size_t i : {1, 2, 4, 5, 6, 7, 8}) call.Constant(i, i + 1);
  Numbers a = call.In(0).dims, b = call.In(3).dims;
  if (a.size() != 2 || b.size() != 2) call.Unproven(kNoFit);
  if (call.Int("transA", 0) != 0) std::swap(a[0], a[1]);
  if (call.Int("transB", 0) != 0) std::swap(b[0], b[1]);
  call.Out(Shaped(MatMulShape(call, a, b)));
}

// Scale and zero point of the result, then three inputs for each part.
void QLinearConcat(Call& call) {
  const std::size_t rank = call.In(2).dims.size();
  const std::size_t axis = call.Axis(call.Int("axis", 0), rank);
  Numbers dims = call.In(2).dims;
  dims[axis] = {};
  for (std::size_t i = 2; i < call.size(); i += 3) {
    const Numbers& part = call.In(i).dims;
    call.NotAlong(i, axis, "joins along the batch axis");
    if (part.size() != rank) call.Unproven(kNoFit);
    for (std::size_t d = 0; d < rank; ++d) {
      if (d != axis && !SameSize(part[d], dims[d])) call.Unproven(kNoFit);
    }
    dims[axis] = Add(dims[axis], part[axis]);
    call.Constant(i + 1, i + 3);
  }
  call.Out(Shaped(std::move(dims)));
}

void FusedConv(Call& call) {
  Rule conv = FindRule("", "Conv");
  if (call.Has(3)) call.Unproven("has a form that is not followed");
  conv(call);
}

}  // namespace

void AddContribRules(Rules& rules) {
  for (const char* op :
       {"BiasGelu", "FastGelu", "Gelu", "QuickGelu", "BiasAdd", "QLinearSigmoid", "QLinearLeakyRelu"}) {
    rules[op] = SameAsFirst;
  }
  rules["SkipLayerNormalization"] = SkipLayerNormalization;
  rules["SkipSimplifiedLayerNormalization"] = SkipLayerNormalization;
  rules["EmbedLayerNormalization"] = EmbedLayerNormalization;
  rules["Attention"] = Attention;
  rules["QAttention"] = QAttention;
  rules["MultiHeadAttention"] = MultiHeadAttention;
  rules["RotaryEmbedding"] = RotaryEmbedding;
  rules["FusedMatMul"] = FusedMatMul;
  rules["TransposeMatMul"] = FusedMatMul;
  rules["MatMulNBits"] = MatMulPacked;
  rules["MatMulBnb4"] = MatMulPacked;
  rules["MatMulIntegerToFloat"] = MatMul;
  rules["DynamicQuantizeMatMul"] = DynamicQuantized;
  rules["DynamicQuantizeLSTM"] = DynamicQuantized;
  rules["QLinearAdd"] = QLinearBinary;
  rules["QLinearMul"] = QLinearBinary;
  rules["QLinearSoftmax"] = QLinearSoftmax;
  rules["QLinearGlobalAveragePool"] = QLinearGlobalAveragePool;
  rules["QLinearConcat"] = QLinearConcat;
  rules["QGemm"] = QGemm;
  rules["FusedConv"] = FusedConv;
  rules["FusedGemm"] = FindRule("", "Gemm");
  rules["QuantizeLinear"] = FindRule("", "QuantizeLinear");
  rules["DequantizeLinear"] = FindRule("", "DequantizeLinear");
}

}  // namespace interleave::graph
