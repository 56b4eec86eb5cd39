// Element types as ONNX numbers them.
#pragma once

namespace interleave::graph {

enum ElementTypes {
  kFloat = 1,
  kUint8,
  kInt8,
  kUint16,
  kInt16,
  kInt32,
  kInt64,
  kString,
  kBool,
  kHalf,
  kDouble,
  kUint32,
  kUint64,
  kBfloat = 16,
};

inline bool IsFloatType(int type) { return type == kFloat || type == kHalf || type == kDouble || type == kBfloat; }
inline bool IsIntegerType(int type) { return type != 0 && !IsFloatType(type); }

}  // namespace interleave::graph
