// What the names of dimensions in a graph are worth. Pure.
#pragma once

#include <string_view>

namespace interleave {

// Stands for "no name" ("?", "None", "-1", ...): two dimensions with it have nothing in common.
bool IsPlaceholder(std::string_view name);

// Numbered by an exporter (unk__12, DynamicDimension.0, Transpose_1_dim_0, ...): two dimensions with different names
// may well be the same axis.
bool IsNumberedByExporter(std::string_view name);

}  // namespace interleave
