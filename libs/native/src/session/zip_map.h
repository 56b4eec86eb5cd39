// ZipMap, with which converters of scikit-learn and LightGBM end their classifiers, makes a list of dictionaries out of
// a tensor of scores. What is served is the tensor.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace interleave {

// A serialized ModelProto whose outputs that ZipMap nodes give are the tensors that went into these nodes, under the
// outputs' own names; columns are in the order of the node's labels. nullopt when there is no such output or `model`
// cannot be read.
std::optional<std::string> WithoutZipMaps(std::string_view model);

}  // namespace interleave
