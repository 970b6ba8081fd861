-- Moves every section of class `.appendix` to the end, under one heading and that of its chapter; a
-- whole chapter of that class becomes a section there.

local function moved(header)
  return header and header.classes:includes("appendix")
end

function Pandoc(doc)
  local study, appendix = pandoc.Blocks({}), pandoc.Blocks({})
  local chapter, named, from -- of the chapter: its heading, and whether it stands in the appendix
  for _, block in ipairs(doc.blocks) do
    local header = block.t == "Header" and block
    if header and header.level == 1 then chapter, named = header, moved(header) end
    if header and from and header.level <= from then from = nil end
    if moved(header) and not from then
      from = header.level
      if not named then
        named = true
        local id = "appendix-" .. chapter.identifier
        appendix:insert(pandoc.Header(2, chapter.content, pandoc.Attr(id)))
      end
    end
    if from then
      if header then header.level = header.level + 1 end
      appendix:insert(block)
    else
      study:insert(block)
    end
  end
  if #appendix > 0 then
    study:insert(pandoc.Header(1, "Appendix", pandoc.Attr("sec-appendix")))
    study:extend(appendix)
  end
  return pandoc.Pandoc(study, doc.meta)
end
