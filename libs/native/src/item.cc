#include "item.h"

#include <ctime>

namespace interleave {

std::size_t ElementBytes(ElementType type) {
  switch (type) {
    case ElementType::kUint8:
    case ElementType::kInt8:
    case ElementType::kBool:
      return 1;
    case ElementType::kUint16:
    case ElementType::kInt16:
    case ElementType::kFloat16:
    case ElementType::kBfloat16:
      return 2;
    case ElementType::kFloat32:
    case ElementType::kInt32:
    case ElementType::kUint32:
      return 4;
    case ElementType::kInt64:
    case ElementType::kFloat64:
    case ElementType::kUint64:
      return 8;
    case ElementType::kString:
      return 0;
  }
  return 0;
}

}  // namespace interleave
