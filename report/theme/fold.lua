-- Folds the code of cells in HTML; of the PDF only the parameters in force are left.

local function fold(block)
  if not block.classes:includes("cell-code") then return end
  local summary = block.attributes.summary
  block.attributes.summary = nil
  if not FORMAT:match("html") then return summary and pandoc.CodeBlock(block.text) or {} end
  return {
    pandoc.RawBlock("html", '<details class="code"><summary>' .. (summary or "Code"):gsub("[<>&]", "") .. "</summary>"),
    block,
    pandoc.RawBlock("html", "</details>"),
  }
end

return {{CodeBlock = fold}}
