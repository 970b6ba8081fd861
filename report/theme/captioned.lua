-- Makes a figure or a table of `::: {#id .captioned}`: content, then a Div `.caption`.

local LINE, PAGE = 6.4, 4.6 -- inches; what the PDF has for a figure

local SIGNS = {"\u{2212}", "\u{2013}", "\u{2014}", "\u{b1}", "\u{2248}", "\u{2264}", "\u{2265}"}

local function text_of(cell)
  local text = pandoc.utils.stringify(cell.contents):gsub("\u{a0}", " ")
  return text:match("^%s*(.-)%s*$")
end

local function numeric(text)
  for _, sign in ipairs(SIGNS) do text = text:gsub(sign, "-") end
  return text:match("^[-+<>~]*%s*[(%[]?[-+]?[%d.]+") or text:match("^-*$") or text:lower() == "nan"
end

local function cells_of(row)
  return row.cells:map(text_of)
end

-- pandas names index levels in a header row of their own: joined with the row above where each
-- column has text in one of them only.
local function join_header(head)
  local last = #head.rows
  if last < 2 then return end
  local upper, lower = head.rows[last - 1], head.rows[last]
  local above, below = cells_of(upper), cells_of(lower)
  if #above ~= #below then return end
  for i = 1, #above do
    if above[i] ~= "" and below[i] ~= "" then return end
  end
  for i = 1, #above do
    if above[i] == "" then upper.cells[i] = lower.cells[i] end
  end
  head.rows:remove(last)
end

-- Columns of numbers are set flush right, the others flush left; widths are left to the printer.
local function align(tbl)
  local right = {}
  for i = 1, #tbl.colspecs do right[i] = true end
  for _, body in ipairs(tbl.bodies) do
    for _, row in ipairs(body.body) do
      local texts = cells_of(row)
      for i = 1, #right do
        right[i] = right[i] and #texts == #right and numeric(texts[i]) and i > body.row_head_columns
      end
    end
  end
  for i, spec in ipairs(tbl.colspecs) do
    local chosen = spec[1]
    if chosen == "AlignDefault" then chosen = right[i] and "AlignRight" or "AlignLeft" end
    tbl.colspecs[i] = {chosen, nil}
  end
end

local function forget_alignment(row)
  for _, cell in ipairs(row.cells) do
    if cell.col_span == 1 then cell.alignment = "AlignDefault" end
    cell.attr = pandoc.Attr()
  end
  row.attr = pandoc.Attr()
end

local function from_html(block)
  local tables = {}
  pandoc.read(block.text, "html-native_divs-native_spans"):walk({
    Table = function(t) table.insert(tables, t) end,
  })
  if #tables ~= 1 then error("an HTML output with " .. #tables .. " tables", 0) end
  local tbl = tables[1]
  for i, spec in ipairs(tbl.colspecs) do tbl.colspecs[i] = {"AlignDefault", nil} end
  for _, row in ipairs(tbl.head.rows) do forget_alignment(row) end
  for _, body in ipairs(tbl.bodies) do
    for _, row in ipairs(body.body) do forget_alignment(row) end
  end
  tbl.attr = pandoc.Attr()
  return tbl
end

local function as_table(tbl, caption, id)
  join_header(tbl.head)
  tbl.identifier = id
  tbl.caption = {long = {pandoc.Plain(caption)}}
  return tbl
end

local function as_figure(image, caption, id)
  local width = tonumber((image.attributes.width or ""):match("^([%d.]+)in$"))
  local height = tonumber((image.attributes.height or ""):match("^([%d.]+)in$"))
  image.attributes.height = nil
  if FORMAT:match("typst") and width and height then
    image.attributes.width = string.format("%.2fin", math.min(width, LINE, PAGE * width / height))
  end
  image.caption = caption
  return pandoc.Figure({pandoc.Plain({image})}, {long = {pandoc.Plain(caption)}}, pandoc.Attr(id))
end

local function captioned(div)
  if not div.classes:includes("captioned") then return end
  local caption, found
  for _, block in ipairs(div.content) do
    if block.t == "Div" and block.classes:includes("caption") then
      caption = pandoc.utils.blocks_to_inlines(block.content)
    elseif block.t == "CodeBlock" and block.classes:includes("html-table") then
      found = from_html(block)
    elseif block.t == "Table" then
      found = block
    elseif block.t == "Para" and block.content[1].t == "Image" then
      found = block.content[1]
    elseif block.t == "Figure" then
      block:walk({Image = function(image) found = image end})
    end
  end
  if not found then error("#" .. div.identifier .. " holds no table and no figure", 0) end
  if found.t == "Table" then return as_table(found, caption, div.identifier) end
  return as_figure(found, caption, div.identifier)
end

-- In HTML a header cell is bold by itself.
local function bold_header(tbl)
  for _, row in ipairs(tbl.head.rows) do
    for _, cell in ipairs(row.cells) do
      local text = pandoc.utils.blocks_to_inlines(cell.contents)
      if #text > 0 then cell.contents = {pandoc.Plain({pandoc.Strong(text)})} end
    end
  end
end

local function finish(tbl)
  align(tbl)
  if FORMAT:match("typst") then bold_header(tbl) end
  return tbl
end

return {{Div = captioned}, {Table = finish}}
